/**
 * Lets so many connections be opened between two looks at the event loop. The
 * others wait for the next ones, in order: a storm of them does not hold up
 * what goes to those that are there.
 */
export class OpeningTurns {
  readonly #maxPerTurn: number;
  readonly #waiting: (() => void)[] = [];
  #left: number;
  #isTurnAhead = false;

  /** @param maxPerTurn - connections; each takes a fraction of a millisecond. */
  constructor(maxPerTurn: number) {
    this.#maxPerTurn = maxPerTurn;
    this.#left = maxPerTurn;
  }

  /** @returns undefined where it may be opened at once, else what resolves when its turn has come. */
  take(): Promise<void> | undefined {
    this.#plan();
    if (this.#left > 0) {
      this.#left -= 1;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #plan(): void {
    if (this.#isTurnAhead) return;
    this.#isTurnAhead = true;
    setImmediate(() => this.#begin());
  }

  #begin(): void {
    this.#isTurnAhead = false;
    const admitted = this.#waiting.splice(0, this.#maxPerTurn);
    this.#left = this.#maxPerTurn - admitted.length;
    if (admitted.length > 0) this.#plan();
    for (const admit of admitted) admit();
  }
}
