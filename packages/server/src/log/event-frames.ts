/** One event as the wire formats write it. Most events are written in one form, so there is room for one without a map. */
export class EventFrames {
  #key: object | undefined;
  #frame: Buffer | undefined;
  #others: Map<object, Buffer> | undefined;

  get(key: object): Buffer | undefined {
    return this.#key === key ? this.#frame : this.#others?.get(key);
  }

  set(key: object, frame: Buffer): void {
    if (this.#key === undefined || this.#key === key) {
      this.#key = key;
      this.#frame = frame;
      return;
    }
    this.#others ??= new Map();
    this.#others.set(key, frame);
  }
}
