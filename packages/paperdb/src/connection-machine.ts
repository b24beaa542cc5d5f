import {
  TRANSITIONS,
  type ConnectionEffect,
  type ConnectionEvent,
  type ConnectionState,
} from "./connection-table.ts";
import type { PaperDBError } from "./paperdb-error.ts";

/** What a connection does when the table says so, each with the error that led to it, if any. */
export type ConnectionEffects = Readonly<
  Record<ConnectionEffect | "enter", (error: PaperDBError | undefined) => void>
>;

/** Goes from state to state as the table of transitions says. */
export class ConnectionMachine {
  state: ConnectionState = "idle";
  readonly #effects: ConnectionEffects;
  readonly #queue: (() => void)[] = [];
  #isDispatching = false;

  /** @param effects - `enter` is called first where the state has changed. */
  constructor(effects: ConnectionEffects) {
    this.#effects = effects;
  }

  /** Takes an event, and the error that it is. What effects cause comes after them. */
  dispatch(event: ConnectionEvent, error?: PaperDBError): void {
    this.#queue.push(() => {
      const [state = this.state, ...effects] = TRANSITIONS[this.state][event];
      if (state !== this.state) {
        this.state = state;
        this.#effects.enter(error);
      }
      for (const effect of effects) this.#effects[effect](error);
    });
    if (this.#isDispatching) return;
    this.#isDispatching = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
    } finally {
      this.#isDispatching = false;
    }
  }
}
