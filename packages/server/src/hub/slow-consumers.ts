import type { Subscription } from "./subscription.ts";

/** How far and how long a peer may lag. */
export interface SlowConsumerLimits {
  readonly maxBufferedBytes: number;
  readonly writeTimeoutMs: number;
}

/**
 * The subscriptions whose peers do not keep up. They are passed over until their
 * sockets drain, and are ended when they are too far or too long behind.
 */
export class SlowConsumers {
  readonly #limits: SlowConsumerLimits;
  readonly #end: (subscription: Subscription) => void;
  readonly #blocked = new Set<Subscription>();

  constructor(limits: SlowConsumerLimits, end: (subscription: Subscription) => void) {
    this.#limits = limits;
    this.#end = end;
  }

  add(subscription: Subscription): void {
    subscription.blockedSinceMs = Date.now();
    this.#blocked.add(subscription);
  }

  /** The peer has taken something: its time starts anew. */
  progressed(subscription: Subscription): void {
    if (this.#blocked.has(subscription)) subscription.blockedSinceMs = Date.now();
  }

  /** The peer keeps up again, or is gone. */
  delete(subscription: Subscription): void {
    if (this.#blocked.delete(subscription)) subscription.blockedSinceMs = undefined;
  }

  /** Ends those beyond the limits. Called every second. */
  check(): void {
    const blockedBeforeMs = Date.now() - this.#limits.writeTimeoutMs;
    for (const subscription of this.#blocked) {
      const tooLong = (subscription.blockedSinceMs ?? 0) <= blockedBeforeMs;
      if (tooLong || this.#isTooFar(subscription)) this.#end(subscription);
    }
  }

  /** The next event is not counted, so that one large event never ends a client that reads. */
  #isTooFar({ channel: { history }, view, place, generation, isAtHead, feed }: Subscription): boolean {
    if (feed !== undefined || generation !== history.generation || isAtHead) return false;
    if (place < history.firstIndex) return true;
    return view.bytesBehind(place) > this.#limits.maxBufferedBytes;
  }
}
