/** A piece of work that takes several turns of the event loop. */
export interface Turn {
  /** Does work worth `budget` writes, not much more; returns how many it was worth. */
  run(budget: number): number;
  /** Whether there is more to do. */
  readonly hasMore: boolean;
}

/** First in, first out. */
class Line {
  #turns: Turn[] = [];
  #taken = 0;

  get size(): number {
    return this.#turns.length - this.#taken;
  }

  push(turn: Turn): void {
    this.#turns.push(turn);
  }

  take(): Turn | undefined {
    const turn = this.#turns[this.#taken];
    if (turn === undefined) return undefined;
    this.#taken += 1;
    if (this.#taken * 2 >= this.#turns.length) {
      this.#turns = this.#turns.slice(this.#taken);
      this.#taken = 0;
    }
    return turn;
  }
}

/**
 * Whose turn it is. What has just begun waits for nothing that goes on for long, so that a small channel
 * does not wait for large ones; but it gets no more than half of each turn of the event loop then.
 */
export class TurnQueue {
  readonly #begun = new Line();
  readonly #continued = new Line();

  get size(): number {
    return this.#begun.size + this.#continued.size;
  }

  begin(turn: Turn): void {
    this.#begun.push(turn);
  }

  continue(turn: Turn): void {
    this.#continued.push(turn);
  }

  /** @param prefersBegun - whether this is in the half for what has just begun. */
  take(prefersBegun: boolean): Turn | undefined {
    return prefersBegun
      ? (this.#begun.take() ?? this.#continued.take())
      : (this.#continued.take() ?? this.#begun.take());
  }
}
