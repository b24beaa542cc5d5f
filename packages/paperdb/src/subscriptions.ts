import { Listener, type AnyEvent } from "./listener.ts";
import type { PaperDBError } from "./paperdb-error.ts";
import { Subscription, type Target } from "./subscription.ts";
import type { SubscribeOptions } from "./types.ts";

/** All subscriptions of a client. */
export class Subscriptions {
  readonly #byKey = new Map<string, Subscription>();
  readonly #onChange: () => void;
  #isScheduled = false;

  /** @param onChange - called soon after a change, once for all changes of a turn. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  [Symbol.iterator](): IterableIterator<Subscription> {
    return this.#byKey.values();
  }

  /** Those that somebody takes events of. */
  get wanted(): Subscription[] {
    return [...this].filter(({ isWanted }) => isWanted);
  }

  add(
    target: Target,
    options: SubscribeOptions,
    onEvent: (event: AnyEvent) => unknown,
    isFull?: () => boolean,
  ): Listener {
    const { where, snapshot, signal } = options;
    const key = JSON.stringify([target, where, snapshot === true]);
    const subscription = this.#byKey.get(key) ?? new Subscription(key, target, options, this.schedule);
    const unsubscribe = (): void => {
      signal?.removeEventListener("abort", unsubscribe);
      subscription.remove(listener);
      this.schedule();
    };
    const listener = new Listener(onEvent, options, unsubscribe, isFull);
    if (signal?.aborted !== true) {
      signal?.addEventListener("abort", unsubscribe);
      this.#byKey.set(key, subscription);
      subscription.add(listener);
      this.schedule();
    }
    return listener;
  }

  /** Ends one with an error, or without when the client is closed. */
  end(subscription: Subscription, error: PaperDBError | undefined): void {
    this.#byKey.delete(subscription.key);
    subscription.end(error);
    this.schedule();
  }

  /** Ends all. */
  endAll(error: PaperDBError | undefined): void {
    for (const subscription of Array.from(this)) this.end(subscription, error);
  }

  /** Says soon that something has changed: a subscriber that goes and comes in one turn changes nothing. */
  readonly schedule = (): void => {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      for (const subscription of this) {
        subscription.rewind();
        if (!subscription.hasListeners) this.#byKey.delete(subscription.key);
      }
      this.#onChange();
    });
  };
}
