import type { AnyEvent, Listener } from "./listener.ts";
import { PaperDBError } from "./paperdb-error.ts";
import type { Target } from "./subscription.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { StreamOptions, SubscribeOptions } from "./types.ts";

/** The events of one subscription for one consumer, at its pace, in bounded memory. */
export class EventStream implements AsyncIterator<AnyEvent, undefined> {
  readonly #subscriptions: Subscriptions;
  readonly #listener: Listener;
  readonly #signal: AbortSignal | undefined;
  readonly #waiting: (() => void)[] = [];
  #buffer: AnyEvent[] = [];
  #isEnded = false;
  #error: PaperDBError | undefined;

  constructor(subscriptions: Subscriptions, target: Target, options: SubscribeOptions & StreamOptions) {
    const { maxBuffered = 1_000, onReset, onStatus, onError, signal } = options;
    this.#signal = signal;
    this.#subscriptions = subscriptions;
    this.#listener = subscriptions.add(
      target,
      {
        ...options,
        signal: undefined,
        onReset: (details) => {
          if (onReset === undefined) {
            this.#error = new PaperDBError("reset", details.reason);
            this.#end();
          } else this.#buffer = []; // What waits is of before.
          return onReset?.(details);
        },
        onStatus: (status, details) => {
          if (status === "ended") this.#end();
          return onStatus?.(status, details);
        },
        onError: (error) => {
          if (error.code !== "callback_failed") this.#error = error;
          else if (onError === undefined) throw error;
          return onError?.(error);
        },
      },
      (event) => {
        this.#buffer.push(event);
        this.#wake();
      },
      { isFull: () => this.#buffer.length >= (maxBuffered || 1) },
    );
    signal?.addEventListener("abort", this.#onAbort);
    if (signal?.aborted === true) this.#onAbort();
  }

  async next(): Promise<IteratorResult<AnyEvent, undefined>> {
    for (;;) {
      for (const value of this.#buffer.splice(0, 1)) {
        if (this.#buffer.length === 0 && !this.#listener.isHere) {
          this.#listener.isWaiting = true;
          this.#subscriptions.schedule();
        }
        return { value, done: false };
      }
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) throw error;
      if (this.#isEnded) return { value: undefined, done: true };
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async return(): Promise<IteratorResult<AnyEvent, undefined>> {
    this.#onAbort();
    return this.next();
  }

  readonly #onAbort = (): void => {
    this.#buffer = [];
    this.#error = undefined;
    this.#end();
  };

  #end(): void {
    this.#isEnded = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#listener.unsubscribe();
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
