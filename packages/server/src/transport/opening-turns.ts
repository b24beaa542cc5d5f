import type { Socket } from "node:net";

/** What opening a connection costs, in about 50 µs: measured, to its answer. */
export type OpeningCost = 1 | 2;

interface WaitingOpening {
  readonly cost: OpeningCost;
  readonly begin: () => void;
}

/** A few milliseconds' worth: what else there is to do waits no longer. */
const MAX_COST_PER_TURN = 64;

/**
 * Lets so many connections of all transports be opened between two looks at the event loop. The others
 * wait for the next ones, in order: each costs as much as many deliveries, and a storm of them
 * does not hold up what goes to those that are there.
 *
 * Of each TCP connection one at most waits, so the limits on those limit what waits here.
 */
export class OpeningTurns {
  /** In order of arrival. */
  readonly #waiting = new Map<Socket, WaitingOpening>();
  #left = MAX_COST_PER_TURN;
  #isTurnAhead = false;

  /**
   * Begins at once, or when its turn has come; never when the socket is destroyed before.
   *
   * @returns false when an opening waits for its turn on this socket already: nothing is begun then.
   */
  add(socket: Socket, cost: OpeningCost, begin: () => void): boolean {
    if (this.#waiting.has(socket)) return false;
    this.#planTurn();
    if (this.#waiting.size === 0 && this.#left > 0) {
      this.#left -= cost;
      begin();
    } else this.#waiting.set(socket, { cost, begin });
    return true;
  }

  #planTurn(): void {
    if (this.#isTurnAhead) return;
    this.#isTurnAhead = true;
    setImmediate(() => this.#runTurn());
  }

  #runTurn(): void {
    this.#isTurnAhead = false;
    this.#left = MAX_COST_PER_TURN;
    for (const [socket, { cost, begin }] of this.#waiting) {
      if (this.#left <= 0) break;
      this.#waiting.delete(socket);
      if (socket.destroyed) continue;
      this.#planTurn();
      this.#left -= cost;
      begin();
    }
    if (this.#waiting.size > 0) this.#planTurn();
  }
}
