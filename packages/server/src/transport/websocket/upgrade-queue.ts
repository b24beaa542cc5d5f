import type { IncomingMessage } from "node:http";
import type { Handshake } from "./handshake.ts";

/** A few milliseconds' worth: what else there is to do waits no longer. */
const MAX_PER_TURN = 32;

interface Waiting {
  readonly request: IncomingMessage;
  readonly handshake: Handshake;
}

/**
 * Begins handshakes, some in each turn of the event loop: of thousands of clients that come at
 * once, each costs as much as many deliveries, which those who are there already wait for.
 */
export class UpgradeQueue {
  readonly #begin: (request: IncomingMessage, handshake: Handshake) => void;
  #waiting: Waiting[] = [];
  #begun = 0;

  constructor(begin: (request: IncomingMessage, handshake: Handshake) => void) {
    this.#begin = begin;
  }

  add(request: IncomingMessage, handshake: Handshake): void {
    this.#waiting.push({ request, handshake });
    if (this.#waiting.length === 1) setImmediate(this.#runTurn);
  }

  readonly #runTurn = (): void => {
    const end = Math.min(this.#begun + MAX_PER_TURN, this.#waiting.length);
    for (; this.#begun < end; this.#begun += 1) {
      const next = this.#waiting[this.#begun];
      if (next !== undefined && !next.handshake.isOver) this.#begin(next.request, next.handshake);
    }
    if (this.#begun < this.#waiting.length) {
      setImmediate(this.#runTurn);
      return;
    }
    this.#waiting = [];
    this.#begun = 0;
  };
}
