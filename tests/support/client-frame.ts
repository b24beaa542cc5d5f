/** What a hostile client changes of a good frame. */
export interface ClientFrameOptions {
  /** Whether it is the last of its message; default true. */
  readonly final?: boolean;
  /** A client must; default true. */
  readonly masked?: boolean;
  /** Bits that must be zero. */
  readonly reserved?: number;
  /** What the header says instead of the truth. */
  readonly claimedBytes?: number;
}

/** Kinds of frames (RFC 6455, section 11.8). */
export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A frame of a client as latin1 text, for `RawSocket`. Its mask is zero, which leaves the payload as it is. */
export function clientFrame(opcode: number, payload: string, options: ClientFrameOptions = {}): string {
  const { final = true, masked = true, reserved = 0, claimedBytes = payload.length } = options;
  const first = (final ? 0x80 : 0) | reserved | opcode;
  const maskBit = masked ? 0x80 : 0;
  const length =
    claimedBytes <= 125
      ? [maskBit | claimedBytes]
      : claimedBytes <= 65_535
        ? [maskBit | 126, claimedBytes >> 8, claimedBytes & 0xff]
        : [maskBit | 127, ...bigEndian(claimedBytes)];
  const mask = masked ? [0, 0, 0, 0] : [];
  return String.fromCharCode(first, ...length, ...mask) + payload;
}

function bigEndian(value: number): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return [...bytes];
}
