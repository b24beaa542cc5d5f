import { randomBytes } from "node:crypto";

/** Of RFC 6455, 5.2. */
export type Opcode = "text" | "binary" | "ping" | "pong";

const OPCODES: Readonly<Record<Opcode, number>> = { text: 1, binary: 2, ping: 9, pong: 10 };
const FINAL = 0x80;
const MASKED = 0x80;
const LENGTH_16 = 126;
const MAX_PAYLOAD_BYTES = 0xffff;

/** An upgrade request of HTTP/1.1 for this path. */
export function upgradeRequest(path: string, options: { readonly protocol?: string } = {}): Buffer {
  const protocol = options.protocol === undefined ? [] : [`sec-websocket-protocol: ${options.protocol}`];
  const lines = [
    `GET ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    `sec-websocket-key: ${randomBytes(16).toString("base64")}`,
    ...protocol,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
}

/** A whole frame as a client sends it; its mask is zero, so that the payload is what it says. */
export function clientFrame(opcode: Opcode, payload: string): Buffer {
  return frame(opcode, payload, MASKED, Buffer.alloc(4));
}

/** A whole frame as a server sends it. */
export function serverFrame(opcode: Opcode, payload: string): Buffer {
  return frame(opcode, payload, 0, Buffer.alloc(0));
}

function frame(opcode: Opcode, payload: string, maskBit: number, mask: Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const { length } = bytes;
  if (length > MAX_PAYLOAD_BYTES) throw new RangeError(`A frame of ${length} bytes is too long here.`);
  const size = length < LENGTH_16 ? [maskBit | length] : [maskBit | LENGTH_16, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([FINAL | OPCODES[opcode], ...size]), mask, bytes]);
}
