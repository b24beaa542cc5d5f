const WINDOW_MS = 1000;

/** How many messages one client may send each second. */
export class MessageRate {
  readonly #maxPerSecond: number;
  #windowStartedAtMs = -Infinity;
  #taken = 0;

  constructor(maxPerSecond: number) {
    this.#maxPerSecond = maxPerSecond;
  }

  /**
   * Takes one.
   *
   * @returns how long to wait until there is another one, in ms: zero when it was taken.
   */
  take(nowMs: number = performance.now()): number {
    if (nowMs - this.#windowStartedAtMs >= WINDOW_MS) {
      this.#windowStartedAtMs = nowMs;
      this.#taken = 0;
    }
    if (this.#taken >= this.#maxPerSecond) return this.#windowStartedAtMs + WINDOW_MS - nowMs;
    this.#taken += 1;
    return 0;
  }
}
