/** Frames of consecutive events of a history in one Buffer, to which more are added while there is room: slices of them are not copied. */
export class FrameRun {
  /** The place of the first event. */
  readonly first: number;
  readonly #block: Buffer;
  /** Where each frame ends in the block. */
  readonly #ends: number[];

  private constructor(first: number, block: Buffer, ends: number[]) {
    this.first = first;
    this.#block = block;
    this.#ends = ends;
  }

  /** One frame, as it is: no copy. */
  static of(place: number, frame: Buffer): FrameRun {
    return new FrameRun(place, frame, [frame.length]);
  }

  /** The place after the last event. */
  get next(): number {
    return this.first + this.#ends.length;
  }

  /** How many bytes the frames from a place on have. */
  bytesFrom(place: number): number {
    return this.#endBefore(this.next) - this.#endBefore(place);
  }

  /** Adds the frame of the next event. @returns false where there is no room. */
  add(frame: Buffer): boolean {
    const end = this.#endBefore(this.next);
    if (end + frame.length > this.#block.length) return false;
    this.#block.set(frame, end);
    this.#ends.push(end + frame.length);
    return true;
  }

  /** The frames from a place on, in a block of their own with room for more. */
  movedTo(place: number, capacity: number): FrameRun {
    const start = this.#endBefore(place);
    const block = Buffer.allocUnsafeSlow(capacity);
    block.set(this.from(place));
    const ends = this.#ends.slice(place - this.first);
    return new FrameRun(place, block, start === 0 ? ends : ends.map((end) => end - start));
  }

  /** The frames from a place on. */
  from(place: number): Buffer {
    const start = this.#endBefore(place);
    const end = this.#endBefore(this.next);
    return end - start === this.#block.length ? this.#block : this.#block.subarray(start, end);
  }

  #endBefore(place: number): number {
    return this.#ends[place - this.first - 1] ?? 0;
  }
}
