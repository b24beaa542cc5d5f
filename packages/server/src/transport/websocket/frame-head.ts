/** Kinds of frames (RFC 6455, section 5.2). */
export const OPCODES = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

/** Why a client's frames cannot be read on: the code to close with (RFC 6455, section 7.4.1). */
export const VIOLATIONS = {
  protocolError: 1002,
  invalidData: 1007,
  tooManyParts: 1008,
  messageTooBig: 1009,
} as const;

/** A client has sent what it may not send. */
export class FrameError extends Error {
  /** One of {@link VIOLATIONS}. */
  readonly closeCode: number;

  constructor(closeCode: number) {
    super(`the client's frames end with ${closeCode}`);
    this.closeCode = closeCode;
  }
}

/** What the first bytes of a frame say. */
export interface FrameHead {
  readonly opcode: number;
  readonly isFinal: boolean;
  /** Whether the message that it begins is compressed (RFC 7692, section 6). */
  readonly isCompressed: boolean;
  /** Of the payload, which follows. */
  readonly payloadBytes: number;
  /** Where the payload is; its mask is right before it. */
  readonly payloadAt: number;
}

/** Of the mask, before the payload. */
export const MASK_BYTES = 4;

const FINAL = 0x80;
const RSV1 = 0x40;
const RSV2_AND_3 = 0x30;
const OPCODE = 0x0f;
const CONTROL = 0x08;
const MASKED = 0x80;
const LENGTH = 0x7f;
const TWO_BYTE_LENGTH = 126;
const EIGHT_BYTE_LENGTH = 127;
const MAX_CONTROL_BYTES = 125;
const MAX_HIGH_LENGTH = 2 ** 21;

/** Whether it may come between the parts of a message. */
export function isControl(opcode: number): boolean {
  return opcode >= CONTROL;
}

/**
 * Reads the head of the frame that begins here, as a client sends it.
 *
 * @returns undefined while bytes of it are missing.
 * @throws {FrameError} as soon as it can be told.
 */
export function readFrameHead(bytes: Buffer, at: number): FrameHead | undefined {
  const first = bytes[at];
  const second = bytes[at + 1];
  if (first === undefined || second === undefined) return undefined;
  const opcode = first & OPCODE;
  const isFinal = (first & FINAL) !== 0;
  const isCompressed = (first & RSV1) !== 0;
  const short = second & LENGTH;
  if ((first & RSV2_AND_3) !== 0 || (second & MASKED) === 0 || !isKnown(opcode)) throw protocolError();
  if (isControl(opcode) && (!isFinal || short > MAX_CONTROL_BYTES)) throw protocolError();
  // Only the first frame of a message says that it is compressed.
  if (isCompressed && (isControl(opcode) || opcode === OPCODES.continuation)) throw protocolError();
  const lengthBytes = short === TWO_BYTE_LENGTH ? 2 : short === EIGHT_BYTE_LENGTH ? 8 : 0;
  if (bytes.length < at + 2 + lengthBytes) return undefined;
  const payloadBytes = lengthBytes === 0 ? short : readLength(bytes, at + 2, lengthBytes);
  return { opcode, isFinal, isCompressed, payloadBytes, payloadAt: at + 2 + lengthBytes + MASK_BYTES };
}

function protocolError(): FrameError {
  return new FrameError(VIOLATIONS.protocolError);
}

function isKnown(opcode: number): boolean {
  return opcode <= OPCODES.binary || (opcode >= OPCODES.close && opcode <= OPCODES.pong);
}

function readLength(bytes: Buffer, at: number, lengthBytes: 2 | 8): number {
  if (lengthBytes === 2) return bytes.readUInt16BE(at);
  const high = bytes.readUInt32BE(at);
  if (high >= MAX_HIGH_LENGTH) throw new FrameError(VIOLATIONS.messageTooBig);
  return high * 2 ** 32 + bytes.readUInt32BE(at + 4);
}
