import type { ErrorCode } from "@paperdb/protocol";
import { Listener, type AnyEvent, type ListenerHooks } from "./listener.ts";
import type { PaperDBError } from "./paperdb-error.ts";
import { NO_DOCUMENTS, Subscription, type Target } from "./subscription.ts";
import type { SubscribeOptions } from "./types.ts";
import { whereKey } from "./where-key.ts";

/** The connection has a subscription to the same already. */
export const DUPLICATE: ErrorCode = "duplicate_subscription";

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
    hooks: ListenerHooks = {},
  ): Listener {
    const { where, signal } = options;
    const key = JSON.stringify(target) + whereKey(where);
    const subscription = this.#byKey.get(key) ?? new Subscription(key, target, where, this.schedule);
    const unsubscribe = (): void => {
      listener.isOver = true;
      signal?.removeEventListener("abort", unsubscribe);
      for (const each of this) each.remove(listener);
      this.schedule();
    };
    const listener = new Listener(onEvent, options, unsubscribe, hooks);
    listener.isOver = signal?.aborted === true;
    if (!listener.isOver) {
      signal?.addEventListener("abort", unsubscribe);
      this.#byKey.set(key, subscription);
      subscription.add(listener);
      this.schedule();
    }
    return listener;
  }

  /**
   * The server may know that two filters are the same where their texts are not: its sentence names the id of the other
   * subscription, whose events are to be shared.
   *
   * @returns whether the refused one is part of another one now.
   */
  adopt(refused: Subscription, { code, message }: PaperDBError): boolean {
    if (code !== DUPLICATE) return false;
    const twin = [...this].find(({ id }) => id !== undefined && message.includes(`id "${id}"`));
    if (twin === undefined) return false;
    this.#byKey.delete(refused.key);
    refused.moveTo(twin);
    this.schedule();
    return true;
  }

  /** Ends one with an error, or without when the client is closed. */
  end(subscription: Subscription, error: PaperDBError | undefined): void {
    if (error?.code !== NO_DOCUMENTS) this.#byKey.delete(subscription.key);
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
        subscription.settle();
        if (!subscription.hasListeners) this.#byKey.delete(subscription.key);
      }
      this.#onChange();
    });
  };
}
