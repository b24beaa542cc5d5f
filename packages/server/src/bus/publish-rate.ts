import { RealtimeError } from "@paperdb/protocol";

const WINDOW_MS = 1000;

/** Counts each tenant's publish requests of the current second. */
export class PublishRate {
  readonly #now: () => number;
  #windowStartMs = 0;
  /** Forgotten every second, so it is bounded by what one second's requests can name. */
  readonly #countByTenant = new Map<string, number>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** @throws {RealtimeError} `rate_limited`, when the tenant has used up this second. */
  take(tenant: string, maxPerSecond: number | undefined): void {
    if (maxPerSecond === undefined) return;
    const nowMs = this.#now();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#countByTenant.clear();
    }
    const used = this.#countByTenant.get(tenant) ?? 0;
    if (used >= maxPerSecond) {
      throw new RealtimeError(
        "rate_limited",
        `The tenant's plan allows ${maxPerSecond} published events a second. Slow down, or move it to another plan.`,
        { retryAfterSeconds: 1 },
      );
    }
    this.#countByTenant.set(tenant, used + 1);
  }
}
