import type { Subscription } from "./subscription.ts";
import type { View } from "./view.ts";

/** One timer for all: every tick serves the subscriptions that joined at that phase. */
const SLOTS = 15;

/** Tells quiet clients where they stand, so that they stay within the history. */
export class Heartbeats {
  readonly #slots: Set<Subscription>[] = Array.from({ length: SLOTS }, () => new Set());
  readonly #slotOf = new WeakMap<Subscription, Set<Subscription>>();
  readonly #timer: NodeJS.Timeout;
  #current = 0;

  constructor(intervalMs: number) {
    this.#timer = setInterval(() => this.#tick(), intervalMs / SLOTS).unref();
  }

  add(subscription: Subscription): void {
    const slot = this.#slots[this.#current];
    if (slot === undefined) return;
    slot.add(subscription);
    this.#slotOf.set(subscription, slot);
  }

  delete(subscription: Subscription): void {
    this.#slotOf.get(subscription)?.delete(subscription);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#current = (this.#current + 1) % SLOTS;
    const frames = new Map<View, Buffer>();
    for (const subscription of this.#slots[this.#current] ?? []) beat(subscription, frames);
  }
}

/** One that is behind gets its events instead. */
function beat(subscription: Subscription, frames: Map<View, Buffer>): void {
  const { channel, view, target, feed } = subscription;
  if (view.format.heartbeat === undefined || !target.keepsUp) return;
  if (subscription.blockedSinceMs !== undefined) return;
  if (feed !== undefined) {
    const quiet = view.format.snapshots?.quiet;
    if (quiet !== undefined) target.write(quiet);
    return;
  }
  let frame = frames.get(view);
  if (frame === undefined) {
    channel.reach();
    frame = view.format.heartbeat(view.cursorAt(channel.history.headIndex), view.name);
    frames.set(view, frame);
  }
  // The source may have handed over events when it was asked where it stands.
  if (subscription.generation === channel.history.generation && subscription.isAtHead) target.write(frame);
}
