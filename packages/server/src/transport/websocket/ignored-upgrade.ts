import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";

/** Headers that are about the upgrade alone, or that name it. */
const UPGRADE_HEADERS: ReadonlySet<string> = new Set(["upgrade", "http2-settings", "connection"]);

/** Whether the client would like another protocol than WebSocket, such as `curl --http2` does. */
export function wantsOtherProtocol({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() !== "websocket";
}

/**
 * Goes on as if the client had not asked for an upgrade, which a server may do
 * (RFC 9110, section 7.8). Node has stopped to parse behind the request's head and
 * has left the socket to whoever listens for upgrades: it gets it back from the
 * start, without the wish, and so reads bodies and further requests as ever.
 *
 * @param rest - what was read behind the request's head.
 */
export function ignoreUpgrade(server: Server, request: IncomingMessage, socket: Socket, rest: Buffer): void {
  if (socket.destroyed) return;
  socket.unshift(Buffer.concat([Buffer.from(headWithoutUpgrade(request), "latin1"), rest]));
  server.emit("connection", socket);
}

function headWithoutUpgrade({ method, url, httpVersion, rawHeaders, headers }: IncomingMessage): string {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    if (!UPGRADE_HEADERS.has(name.toLowerCase())) lines.push(`${name}: ${rawHeaders[index + 1]}`);
  }
  const options = (headers.connection ?? "").split(",").map((option) => option.trim());
  const others = options.filter((option) => option !== "" && !UPGRADE_HEADERS.has(option.toLowerCase()));
  if (others.length > 0) lines.push(`Connection: ${others.join(", ")}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
