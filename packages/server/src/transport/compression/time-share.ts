/** How much unused time may be saved up, in ms: for so long at a stretch the share may be exceeded. */
const MAX_SAVED_MS = 20;

/** A share of the event loop's time that a kind of work may take; what exceeds it is not to be done. */
export class TimeShare {
  readonly #share: number;
  readonly #nowMs: () => number;
  #savedMs = MAX_SAVED_MS;
  #countedUpToMs: number;

  /** @param percent - of the time that passes. @param nowMs - a monotonic clock. */
  constructor(percent: number, nowMs: () => number = () => performance.now()) {
    this.#share = percent / 100;
    this.#nowMs = nowMs;
    this.#countedUpToMs = nowMs();
  }

  /** Does the work and counts its time; undefined, and not done, where the share is used up. */
  run<T>(work: () => T): T | undefined {
    const startedAtMs = this.#nowMs();
    const earnedMs = (startedAtMs - this.#countedUpToMs) * this.#share;
    this.#countedUpToMs = startedAtMs;
    this.#savedMs = Math.min(MAX_SAVED_MS, this.#savedMs + earnedMs);
    if (this.#savedMs <= 0) return undefined;
    const result = work();
    this.#savedMs -= this.#nowMs() - startedAtMs;
    return result;
  }
}
