import { hash } from "node:crypto";

/** RFC 6455, section 1.3. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/**
 * The answer after which a socket carries WebSocket frames (RFC 6455, section 4.2.2).
 *
 * @param key - the client's `Sec-WebSocket-Key`.
 * @param more - further headers, such as the subprotocol.
 */
export function upgradeAnswer(key: string, more: Readonly<Record<string, string>> = {}): string {
  const accept = hash("sha1", key + KEY_SUFFIX, "base64");
  const lines = Object.entries(more).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${lines.join("")}\r\n`;
}
