/**
 * Frames of a server, which does not mask them (RFC 6455, section 5.2). Each is
 * one Buffer, so that whoever writes it can write nothing into the middle.
 */

const FINAL = 0x80;
const TEXT = FINAL | 0x1;
const COMPRESSED_TEXT = TEXT | 0x40;
const CLOSE = FINAL | 0x8;
const PING = FINAL | 0x9;
const PONG = FINAL | 0xa;

/** The longest payload whose length fits into the second byte; control frames have no longer one. */
const MAX_SHORT_BYTES = 125;
const MAX_UINT16 = 65_535;
const TWO_BYTE_LENGTH = 126;
const EIGHT_BYTE_LENGTH = 127;
/** A close frame's payload begins with the code. */
const CODE_BYTES = 2;

/** A text message, unfragmented. @param moreBytes - of it are written right behind the frame, which is its beginning. */
export function textFrame(text: string, moreBytes = 0): Buffer {
  const textBytes = Buffer.byteLength(text);
  const frame = withHeader(TEXT, textBytes, moreBytes);
  frame.write(text, frame.length - textBytes);
  return frame;
}

/** A text message that is compressed (RFC 7692, section 6.1). @param moreBytes - as for {@link textFrame}. */
export function compressedTextFrame(payload: Buffer, moreBytes = 0): Buffer {
  const frame = withHeader(COMPRESSED_TEXT, payload.length, moreBytes);
  payload.copy(frame, frame.length - payload.length);
  return frame;
}

/** What a whole frame of ours carries. */
export function payloadOf(frame: Buffer): Buffer {
  const length = frame[1];
  return frame.subarray(length === EIGHT_BYTE_LENGTH ? 10 : length === TWO_BYTE_LENGTH ? 4 : 2);
}

/** A frame whose payload is to be filled in. */
function withHeader(firstByte: number, payloadBytes: number, moreBytes: number): Buffer {
  const byteLength = payloadBytes + moreBytes;
  const headerBytes = byteLength <= MAX_SHORT_BYTES ? 2 : byteLength <= MAX_UINT16 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + payloadBytes);
  frame[0] = firstByte;
  if (headerBytes === 2) {
    frame[1] = byteLength;
  } else if (headerBytes === 4) {
    frame[1] = TWO_BYTE_LENGTH;
    frame.writeUInt16BE(byteLength, 2);
  } else {
    frame[1] = EIGHT_BYTE_LENGTH;
    frame.writeBigUInt64BE(BigInt(byteLength), 2);
  }
  return frame;
}

/**
 * The frame that begins, or answers, the end of a connection.
 *
 * @param code - undefined: without a payload.
 * @param reason - what does not fit is left out.
 */
export function closeFrame(code?: number, reason: string | Buffer = ""): Buffer {
  if (code === undefined) return controlFrame(CLOSE, Buffer.alloc(0));
  const text = typeof reason === "string" ? truncate(reason, MAX_SHORT_BYTES - CODE_BYTES) : reason;
  const payload = Buffer.allocUnsafe(CODE_BYTES + text.length);
  payload.writeUInt16BE(code, 0);
  text.copy(payload, CODE_BYTES);
  return controlFrame(CLOSE, payload);
}

/** Asks the peer for a sign of life. */
export const PING_FRAME: Buffer = controlFrame(PING, Buffer.alloc(0));

/** Answers a ping with its payload. */
export function pongFrame(payload: Buffer): Buffer {
  return controlFrame(PONG, payload);
}

function controlFrame(opcode: number, payload: Buffer): Buffer {
  if (payload.length > MAX_SHORT_BYTES) throw new RangeError("a control frame has 125 bytes at most");
  return Buffer.concat([Buffer.from([opcode, payload.length]), payload]);
}

/** The longest beginning of whole characters. */
function truncate(text: string, maxBytes: number): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return bytes;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}
