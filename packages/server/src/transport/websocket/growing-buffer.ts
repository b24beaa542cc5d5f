const MIN_CAPACITY_BYTES = 256;

/** Bytes that come piece by piece, in memory of their own: at most twice as much as came. */
export class GrowingBuffer {
  #memory: Buffer = Buffer.allocUnsafeSlow(MIN_CAPACITY_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What came so far. The next {@link append} may move it. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  append(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, this.#memory.length * 2));
      this.bytes.copy(larger);
      this.#memory = larger;
    }
    piece.copy(this.#memory, this.#length);
    this.#length = length;
  }
}
