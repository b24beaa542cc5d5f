/** Who waits for its turn. */
export interface WaitingClient {
  turnCame(): void;
}

/** A few milliseconds' worth: what else there is to do waits no longer. */
const MAX_MESSAGES_PER_TURN = 256;

/**
 * Lets so many messages of all clients be handled between two looks at the event loop; the other clients wait, in
 * order. Each client's rate is bounded, but very many may come with what their rate allows at the same moment.
 */
export class MessageTurns {
  /** In order of arrival. */
  readonly #waiting = new Set<WaitingClient>();
  #left = MAX_MESSAGES_PER_TURN;
  #isTurnAhead = false;

  /** Counts one message; false when there were too many: the client is told when its turn has come. */
  take(client: WaitingClient): boolean {
    this.#planTurn();
    if (this.#left > 0) {
      this.#left -= 1;
      return true;
    }
    this.#waiting.add(client);
    return false;
  }

  /** It does not wait any more. */
  forget(client: WaitingClient): void {
    this.#waiting.delete(client);
  }

  #planTurn(): void {
    if (this.#isTurnAhead) return;
    this.#isTurnAhead = true;
    setImmediate(() => this.#runTurn());
  }

  #runTurn(): void {
    this.#isTurnAhead = false;
    this.#left = MAX_MESSAGES_PER_TURN;
    for (const client of this.#waiting) {
      if (this.#left === 0) break;
      this.#waiting.delete(client);
      client.turnCame();
    }
    if (this.#waiting.size > 0) this.#planTurn();
  }
}
