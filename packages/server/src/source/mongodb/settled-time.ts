import type { ClusterTime } from "./position.ts";

/** The newest of some times that has been known for long enough, more or less. */
export class SettledTime {
  readonly #settleMs: number;
  readonly #now: () => number;
  #settled: ClusterTime = "";
  /** The next one. */
  #ageing: { readonly time: ClusterTime; readonly atMs: number } | undefined;

  constructor(settleMs: number, now: () => number = Date.now) {
    this.#settleMs = settleMs;
    this.#now = now;
  }

  /** Below all times while there is none. */
  get value(): ClusterTime {
    if (this.#ageing !== undefined && this.#now() - this.#ageing.atMs >= this.#settleMs) {
      this.#settled = this.#ageing.time;
      this.#ageing = undefined;
    }
    return this.#settled;
  }

  /** Takes a time that is known from now on, not below those before. */
  add(time: ClusterTime): void {
    if (time > this.value) this.#ageing ??= { time, atMs: this.#now() };
  }
}
