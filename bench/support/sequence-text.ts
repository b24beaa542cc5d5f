const DIGITS = 10;
const ZERO = 0x30;
const NINE = 0x39;

/** What stands before the number of a document or an event, in any JSON of ours or a peer's. */
export const SEQUENCE_MARK: Buffer = Buffer.from('"seq":"');

/** All of it, the number included. */
export const SEQUENCE_BYTES: number = SEQUENCE_MARK.length + DIGITS;

/** The `seq` field of a document or an event's data: of one width, so that it takes no JSON parser to find it. */
export function sequenceText(sequence: number): string {
  return String(sequence).padStart(DIGITS, "0");
}

/** The number whose digits begin here. */
export function readSequence(bytes: Buffer, from: number): number {
  let value = 0;
  for (let index = from; index < from + DIGITS; index += 1) {
    const digit = bytes[index] ?? 0;
    if (digit < ZERO || digit > NINE) throw new Error("An event's seq is not a number.");
    value = value * 10 + (digit - ZERO);
  }
  return value;
}
