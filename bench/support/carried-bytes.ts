import { SEQUENCE_BYTES } from "./sequence-text.ts";

/** So much of what was read before is looked at again: a number may come in two parts, and never as a whole. */
export const CARRIED_BYTES: number = SEQUENCE_BYTES - 1;

/** The end of what one connection was sent so far, for connections that read into one buffer in turn. */
export class CarriedBytes {
  readonly #bytes = Buffer.alloc(CARRIED_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /**
   * Puts it before what was read now, and keeps the end of both.
   *
   * @param buffer - has room for {@link CARRIED_BYTES} before `start`.
   * @returns both, as long as the buffer is not used again.
   */
  putBefore(buffer: Buffer, start: number, end: number): Buffer {
    const from = start - this.#length;
    this.#bytes.copy(buffer, from, 0, this.#length);
    return buffer.subarray(from, end);
  }

  keepEndOf(bytes: Buffer): void {
    this.#length = Math.min(CARRIED_BYTES, bytes.length);
    bytes.copy(this.#bytes, 0, bytes.length - this.#length);
  }
}
