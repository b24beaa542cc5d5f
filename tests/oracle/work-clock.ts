/** The time of a world: how many transactions are done. Nothing happens at a time of day, so that a seed replays on any machine. */
export class WorkClock {
  readonly total: number;
  #done = 0;
  #isStopped = false;
  #waiting: { readonly at: number; readonly resolve: () => void }[] = [];

  constructor(total: number) {
    this.total = total;
  }

  /** Whether the world ends early. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  get done(): number {
    return this.#done;
  }

  tick(): void {
    this.#done += 1;
    this.#wake();
  }

  /** Resolves when so much is done, and at the end whatever was asked for. */
  reach(at: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ at: Math.min(at, this.total), resolve });
      this.#wake();
    });
  }

  /** Lets nobody wait any longer: the world ends early. */
  stop(): void {
    this.#isStopped = true;
    this.#done = this.total;
    this.#wake();
  }

  #wake(): void {
    const due = this.#waiting.filter(({ at }) => at <= this.#done);
    this.#waiting = this.#waiting.filter(({ at }) => at > this.#done);
    for (const { resolve } of due) resolve();
  }
}
