/** A poll waits this many times as long as the last one took: a large catalog is asked less often. */
const REST_FACTOR = 10;
/** But one that was slow for another reason, such as a busy machine, does not blind us for long. */
const MAX_REST_MS = 5_000;
const QUICK_POLL_MS = 100;

/** What a {@link CatalogPoll} does. */
export interface CatalogPollOptions {
  /** Between two looks, at least. */
  readonly intervalMs: number;
  readonly look: () => Promise<void>;
  /** A look has failed; another one follows. Not told once it is closed. */
  readonly failed: (error: unknown) => void;
}

/** Looks at the catalog again and again, one look after the other. */
export class CatalogPoll {
  readonly #options: CatalogPollOptions;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #closed = false;

  constructor(options: CatalogPollOptions) {
    this.#options = options;
  }

  /** Begins, with the first look after the interval. */
  start(): void {
    this.#lookLater(this.#options.intervalMs);
  }

  /** Resolves once no look is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #lookLater(waitMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look();
    }, waitMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const startedAtMs = Date.now();
    try {
      await this.#options.look();
    } catch (error) {
      if (!this.#closed) this.#options.failed(error);
    }
    const tookMs = Date.now() - startedAtMs;
    const restMs = tookMs < QUICK_POLL_MS ? 0 : Math.min(tookMs * REST_FACTOR, MAX_REST_MS);
    this.#lookLater(Math.max(this.#options.intervalMs, restMs));
  }
}
