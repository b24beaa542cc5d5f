import type { Logger } from "pino";
import { backoffMs } from "../../timing/backoff.ts";
import { openReason } from "./errors.ts";
import type { MongoSettings } from "./settings.ts";

/** What an {@link OutageWatch} works with. */
export interface OutageWatchOptions {
  readonly settings: Pick<MongoSettings, "catalogPollIntervalMs" | "minRetryMs" | "maxRetryMs">;
  readonly log: Logger;
  /** Asks the server what has to be known of it, and tells {@link OutageWatch.up}; rejects when it does not answer. */
  readonly ask: () => Promise<void>;
}

/** Whether a server answers. It is asked in regular intervals, and ever less often while it does not. */
export class OutageWatch {
  readonly #options: OutageWatchOptions;
  #reason: string | undefined = "The source is starting.";
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #closed = false;

  constructor(options: OutageWatchOptions) {
    this.#options = options;
  }

  /** Why the server does not answer; undefined while it does. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Begins to ask, after the first interval. */
  start(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#asking = this.#ask().finally(() => this.start());
    }, this.#delayMs());
  }

  /** The server has answered. */
  up(): void {
    if (this.#closed) return;
    this.#failures = 0;
    if (this.#reason !== undefined) this.#options.log.info("The source is live");
    this.#reason = undefined;
  }

  /** The server has not answered. */
  down(error: unknown): void {
    if (this.#closed) return;
    this.#failures += 1;
    const reason = openReason(error);
    if (this.#failures === 1) this.#options.log.warn({ reason }, "The source is not live");
    this.#reason = reason;
  }

  /** From now on it counts as out for this reason, and nothing is asked any more. */
  end(reason: string): void {
    this.#closed = true;
    this.#reason = reason;
    clearTimeout(this.#timer);
  }

  /** Resolves once nothing is being asked any more. */
  async ended(): Promise<void> {
    await this.#asking;
  }

  async #ask(): Promise<void> {
    try {
      await this.#options.ask();
    } catch (error) {
      this.down(error);
    }
  }

  #delayMs(): number {
    const { catalogPollIntervalMs, minRetryMs, maxRetryMs } = this.#options.settings;
    if (this.#failures === 0) return catalogPollIntervalMs;
    return backoffMs(this.#failures, { minMs: minRetryMs, maxMs: maxRetryMs });
  }
}
