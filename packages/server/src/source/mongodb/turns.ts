/** Runs some work when it is due, one turn at a time. What comes due meanwhile is left to the end of the turn. */
export class Turns {
  readonly #work: () => Promise<void>;
  readonly #planNext: () => void;
  #timer: NodeJS.Timeout | undefined;
  #dueAtMs = Infinity;
  #isRunning = false;
  #closed = false;

  /**
   * @param work - a turn; it does not reject.
   * @param planNext - called at the end of each turn, to {@link plan} what is left to do.
   */
  constructor(work: () => Promise<void>, planNext: () => void) {
    this.#work = work;
    this.#planNext = planNext;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** The earliest of several plans counts. */
  plan(delayMs: number): void {
    const atMs = Date.now() + delayMs;
    if (this.#closed || atMs >= this.#dueAtMs) return;
    clearTimeout(this.#timer);
    this.#dueAtMs = atMs;
    this.#timer = setTimeout(() => {
      this.#dueAtMs = Infinity;
      void this.#run();
    }, delayMs);
  }

  /** No turn begins any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    if (this.#isRunning || this.#closed) return;
    this.#isRunning = true;
    try {
      await this.#work();
    } finally {
      this.#isRunning = false;
      this.#planNext();
    }
  }
}
