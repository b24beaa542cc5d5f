import { PaperDBError } from "./paperdb-error.ts";
import { reportUncaught } from "./report-error.ts";
import type { SubscriptionCallbacks, SubscriptionStatus, Unsubscribe } from "./types.ts";

/** An event, of whatever type the application's schema says that it has. */
export type AnyEvent = never;

/** One `subscribe` or stream of the application: a place of its own in a shared subscription. */
export class Listener {
  declare readonly unsubscribe: Unsubscribe;
  /** Where it left, because it could not take more: it gets nothing until it comes back. */
  leftAt: string | undefined;
  /** Wants to come back. */
  isWaiting = false;
  readonly #onEvent: (event: AnyEvent) => unknown;
  readonly #callbacks: SubscriptionCallbacks;
  readonly #isFull: (() => boolean) | undefined;
  #status: SubscriptionStatus | undefined;
  /** Others may resume where this one has never been. */
  #hasBeenLive = false;

  /**
   * @param unsubscribe - lets go of what holds it.
   * @param isFull - whether it cannot take another event at the moment.
   */
  constructor(
    onEvent: (event: AnyEvent) => unknown,
    callbacks: SubscriptionCallbacks,
    unsubscribe: Unsubscribe,
    isFull: (() => boolean) | undefined,
  ) {
    this.unsubscribe = unsubscribe;
    this.#onEvent = onEvent;
    this.#callbacks = callbacks;
    this.#isFull = isFull;
  }

  /** @param before - the cursor before the event. */
  take(event: AnyEvent, before: string | undefined): void {
    if (this.leftAt !== undefined) return;
    if (this.#isFull?.() === true) this.leftAt = before;
    else this.#call(this.#onEvent, event);
  }

  /** Takes events from now on. */
  comeBack(): void {
    this.leftAt = undefined;
    this.isWaiting = false;
  }

  reset(reason: string): void {
    this.comeBack();
    this.#call(this.#callbacks.onReset, { reason });
  }

  /** Says how the subscription stands, once. */
  setStatus(status: SubscriptionStatus, resumed: boolean): void {
    if (status === this.#status) return;
    this.#status = status;
    this.#call(this.#callbacks.onStatus, status, { resumed: resumed && this.#hasBeenLive });
    this.#hasBeenLive ||= status === "live";
  }

  fail(error: PaperDBError): void {
    attempt(reportUncaught, this.#callbacks.onError ?? reportUncaught, error);
  }

  /** A callback that throws harms nobody else. */
  #call<Arguments extends unknown[]>(
    callback: ((...given: Arguments) => unknown) | undefined,
    ...given: Arguments
  ): void {
    attempt(
      (cause) => {
        if (this.#callbacks.onError === undefined) reportUncaught(cause);
        else this.fail(new PaperDBError("callback_failed", "A callback threw.", { cause }));
      },
      callback,
      ...given,
    );
  }
}

/** Calls back; what it throws, now or later, goes to `onThrow`. */
export function attempt<Arguments extends unknown[]>(
  onThrow: (cause: unknown) => void,
  callback: ((...given: Arguments) => unknown) | undefined,
  ...given: Arguments
): void {
  try {
    const result = callback?.(...given);
    if (result instanceof Promise) result.catch(onThrow);
  } catch (cause) {
    onThrow(cause);
  }
}
