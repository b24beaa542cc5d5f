import { CarriedBytes } from "./carried-bytes.ts";
import { readSequence, SEQUENCE_BYTES, SEQUENCE_MARK } from "./sequence-text.ts";

const RESET = Buffer.from("event: reset\n");
const READY = Buffer.from("event: ready\n");

/** Counts the documents of a snapshot in an SSE stream, without decoding it: some gigabytes are to be read. */
export class DocumentScanner {
  documents = 0;
  sequenceSum = 0;
  isReady = false;
  /** How often it had to begin again. */
  resets = 0;
  readonly #carried = new CarriedBytes();

  /**
   * Takes the next bytes.
   *
   * @param buffer - has room for `CARRIED_BYTES` before `start`.
   */
  push(buffer: Buffer, start: number, end: number): void {
    const bytes = this.#carried.putBefore(buffer, start, end);
    let at = this.#afterReset(bytes);
    for (;;) {
      at = bytes.indexOf(SEQUENCE_MARK, at);
      if (at === -1 || at + SEQUENCE_BYTES > bytes.length) break;
      at += SEQUENCE_MARK.length;
      this.documents += 1;
      this.sequenceSum += readSequence(bytes, at);
    }
    if (bytes.includes(READY)) this.isReady = true;
    this.#carried.keepEndOf(bytes);
  }

  /** What came before is void. */
  #afterReset(bytes: Buffer): number {
    const at = bytes.lastIndexOf(RESET);
    // One that lies within what is looked at again was seen.
    if (at === -1 || at + RESET.length <= this.#carried.length) return 0;
    this.resets += 1;
    this.documents = 0;
    this.sequenceSum = 0;
    return at + RESET.length;
  }
}
