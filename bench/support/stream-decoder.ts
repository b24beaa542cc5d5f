import { constants, createGunzip, createInflateRaw, type Gunzip, type InflateRaw } from "node:zlib";
import { clientFrame } from "./websocket-bytes.ts";

/** How what is sent is compressed: SSE by gzip, messages of a WebSocket by deflate. */
export type Coding = "plain" | "gzip" | "deflate";

/** Reads the stream of one connection. */
export interface StreamDecoder {
  push(bytes: Buffer): void;
  close(): void;
}

const PONG = clientFrame("pong", "");
const PING_OPCODE = 0x9;
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const COMPRESSED = 0x40;
const OPCODE = 0x0f;
const TWO_BYTE_LENGTH = 126;
const EIGHT_BYTE_LENGTH = 127;
const MAX_STORED_BYTES = 65_535;

/** What comes after the head of an SSE response. @param read - told what it says. */
export function sseDecoder(coding: Coding, read: (bytes: Buffer) => void): StreamDecoder {
  if (coding === "plain") return { push: read, close: () => undefined };
  return inflating(createGunzip({ finishFlush: constants.Z_SYNC_FLUSH }), read);
}

/** The frames of a server. @param answer - told what to send. */
export function webSocketDecoder(
  coding: Coding,
  read: (bytes: Buffer) => void,
  answer: (bytes: Buffer) => void,
): StreamDecoder {
  if (coding === "plain") return new FrameDecoder({ push: read, close: () => undefined }, asItIs, answer);
  return new FrameDecoder(inflating(createInflateRaw(), read), asDeflate, answer);
}

function inflating(inflater: Gunzip | InflateRaw, read: (bytes: Buffer) => void): StreamDecoder {
  inflater.on("data", read);
  return { push: (bytes) => void inflater.write(bytes), close: () => inflater.close() };
}

class FrameDecoder implements StreamDecoder {
  readonly #messages: StreamDecoder;
  readonly #encode: (payload: Buffer, isCompressed: boolean) => readonly Buffer[];
  readonly #answer: (bytes: Buffer) => void;
  #rest: Buffer | undefined;

  constructor(
    messages: StreamDecoder,
    encode: (payload: Buffer, isCompressed: boolean) => readonly Buffer[],
    answer: (bytes: Buffer) => void,
  ) {
    this.#messages = messages;
    this.#encode = encode;
    this.#answer = answer;
  }

  push(bytes: Buffer): void {
    const all = this.#rest === undefined ? bytes : Buffer.concat([this.#rest, bytes]);
    const parts: Buffer[] = [];
    let at = 0;
    for (;;) {
      const payload = payloadAt(all, at);
      if (payload === undefined) break;
      const first = all[at] ?? 0;
      if ((first & OPCODE) === PING_OPCODE) this.#answer(PONG);
      else parts.push(...this.#encode(payload, (first & COMPRESSED) !== 0));
      at = payload.byteOffset + payload.length - all.byteOffset;
    }
    this.#rest = at === all.length ? undefined : all.subarray(at);
    if (parts.length > 0) this.#messages.push(Buffer.concat(parts));
  }

  close(): void {
    this.#messages.close();
  }
}

function asItIs(payload: Buffer): readonly Buffer[] {
  return [payload];
}

/** One deflate stream of all messages: those that are not compressed are stored in it. */
function asDeflate(payload: Buffer, isCompressed: boolean): readonly Buffer[] {
  if (isCompressed) return [payload, TAIL];
  if (payload.length > MAX_STORED_BYTES) throw new RangeError("A message is too long here.");
  const header = Buffer.alloc(5);
  header.writeUInt16LE(payload.length, 1);
  header.writeUInt16LE(~payload.length & 0xffff, 3);
  return [header, payload];
}

/** Of the frame at this place; undefined while it is not whole. */
function payloadAt(bytes: Buffer, at: number): Buffer | undefined {
  const length = bytes[at + 1];
  if (length === undefined || length === EIGHT_BYTE_LENGTH) return undefined;
  const headerBytes = length === TWO_BYTE_LENGTH ? 4 : 2;
  if (bytes.length < at + headerBytes) return undefined;
  const payloadBytes = length === TWO_BYTE_LENGTH ? bytes.readUInt16BE(at + 2) : length;
  const end = at + headerBytes + payloadBytes;
  return bytes.length < end ? undefined : bytes.subarray(at + headerBytes, end);
}
