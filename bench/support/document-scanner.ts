const SEQUENCE = Buffer.from('"seq":"');
const RESET = Buffer.from("event: reset\n");
const READY = Buffer.from("event: ready\n");
const DIGITS = 10;
const ZERO = 0x30;

/** So much of what was read before is looked at again: a document's number may come in two parts, and never as a whole. */
export const CARRIED_BYTES: number = SEQUENCE.length + DIGITS - 1;

/** Counts the documents of a snapshot in an SSE stream, without decoding it: some gigabytes are to be read. */
export class DocumentScanner {
  documents = 0;
  sequenceSum = 0;
  isReady = false;
  /** How often it had to begin again. */
  resets = 0;
  readonly #carried = Buffer.alloc(CARRIED_BYTES);
  #carriedBytes = 0;

  /**
   * Takes the next bytes.
   *
   * @param buffer - has room for {@link CARRIED_BYTES} before `start`.
   */
  push(buffer: Buffer, start: number, end: number): void {
    const from = start - this.#carriedBytes;
    this.#carried.copy(buffer, from, 0, this.#carriedBytes);
    const bytes = buffer.subarray(from, end);
    let at = this.#afterReset(bytes);
    for (;;) {
      at = bytes.indexOf(SEQUENCE, at);
      if (at === -1 || at + SEQUENCE.length + DIGITS > bytes.length) break;
      at += SEQUENCE.length;
      this.documents += 1;
      this.sequenceSum += numberAt(bytes, at);
    }
    if (bytes.includes(READY)) this.isReady = true;
    this.#carriedBytes = Math.min(CARRIED_BYTES, bytes.length);
    bytes.copy(this.#carried, 0, bytes.length - this.#carriedBytes);
  }

  /** What came before is void. */
  #afterReset(bytes: Buffer): number {
    const at = bytes.lastIndexOf(RESET);
    // One that lies within what is looked at again was seen.
    if (at === -1 || at + RESET.length <= this.#carriedBytes) return 0;
    this.resets += 1;
    this.documents = 0;
    this.sequenceSum = 0;
    return at + RESET.length;
  }
}

function numberAt(bytes: Buffer, from: number): number {
  let value = 0;
  for (let index = from; index < from + DIGITS; index += 1) value = value * 10 + (bytes[index] ?? 0) - ZERO;
  return value;
}
