import { PaperDBError } from "./paperdb-error.ts";
import { isAfter } from "./place.ts";
import { reportUncaught } from "./report-error.ts";
import type { SubscribeOptions, SubscriptionCallbacks, SubscriptionStatus, Unsubscribe } from "./types.ts";

/** An event, of whatever type the application's schema says that it has. */
export type AnyEvent = never;

/** A document, likewise. */
export type AnyDocument = never;

/** What a subscriber is given besides events, or asked. */
export interface ListenerHooks {
  /** Whether it cannot take another event at the moment. */
  readonly isFull?: () => boolean;
  /**
   * All documents, where they have come: they stay up to date, each event is in them when it is given. Without this, each
   * is given as an `insert`.
   */
  readonly onDocuments?: (documents: ReadonlyMap<string, AnyDocument>) => unknown;
}

/** One `subscribe`, stream or list of the application: a place of its own in a shared subscription. */
export class Listener {
  declare readonly unsubscribe: Unsubscribe;
  /** The last place that it was given, or has nothing to get up to. */
  place: string | undefined;
  /** Whether it takes events; it does not where it could not take more, until it comes back. */
  isHere = true;
  /** Wants to come back. */
  isWaiting = false;
  /** Whether it gets the documents before events. */
  readonly wantsDocuments: boolean;
  /** Whether it has not got them yet. */
  lacksDocuments: boolean;
  /** Nothing is given to it any more. */
  isOver = false;
  readonly #onEvent: (event: AnyEvent) => unknown;
  readonly #callbacks: SubscriptionCallbacks;
  readonly #hooks: ListenerHooks;
  #status: SubscriptionStatus | undefined;
  /** Others may resume where this one has never been. */
  #hasBeenLive = false;

  /** @param unsubscribe - lets go of what holds it. */
  constructor(
    onEvent: (event: AnyEvent) => unknown,
    callbacks: SubscribeOptions,
    unsubscribe: Unsubscribe,
    hooks: ListenerHooks,
  ) {
    this.unsubscribe = unsubscribe;
    this.#onEvent = onEvent;
    this.#callbacks = callbacks;
    this.#hooks = hooks;
    this.wantsDocuments = this.lacksDocuments = callbacks.snapshot === true;
  }

  /** Takes an event, unless it has had it. */
  take(event: AnyEvent, cursor: string): void {
    if (!this.isHere || this.lacksDocuments || !isAfter(cursor, this.place)) return;
    if (this.#hooks.isFull?.() === true) this.isHere = false;
    else {
      this.place = cursor;
      this.call(this.#onEvent, event);
    }
  }

  /** Whether it has to go on at its place. */
  get hasPlace(): boolean {
    return this.isHere && this.place !== undefined;
  }

  /** Whether the documents have to be kept for it. */
  get keepsDocuments(): boolean {
    return this.#hooks.onDocuments !== undefined;
  }

  /** All documents of the collection that match. */
  takeDocuments(collection: string, documents: ReadonlyMap<string, AnyDocument>): void {
    this.lacksDocuments = false;
    if (this.keepsDocuments) this.call(this.#hooks.onDocuments, documents);
    else
      for (const [documentId, data] of documents) {
        if (this.isOver) break;
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- As for events off the wire.
        this.call(this.#onEvent, { type: "insert", collection, documentId, data } as AnyEvent);
      }
  }

  /** Takes events from now on. */
  comeBack(): void {
    this.isHere = true;
    this.isWaiting = false;
  }

  reset(reason: string): void {
    this.comeBack();
    this.place = undefined;
    this.lacksDocuments = this.wantsDocuments;
    this.call(this.#callbacks.onReset, { reason });
  }

  /** Says how the subscription stands, once. */
  setStatus(status: SubscriptionStatus, resumed: boolean): void {
    const told = status === "live" && this.lacksDocuments ? (this.#status ?? "connecting") : status;
    if (told === this.#status) return;
    this.#status = told;
    this.call(this.#callbacks.onStatus, told, { resumed: resumed && this.#hasBeenLive });
    this.#hasBeenLive ||= told === "live";
  }

  fail(error: PaperDBError): void {
    attempt(reportUncaught, this.#callbacks.onError ?? reportUncaught, error);
  }

  /** Calls back; what that throws harms nobody else. */
  call<Arguments extends unknown[]>(
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
