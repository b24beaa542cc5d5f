import type { Subscription } from "./subscription.ts";
import type { View } from "./view.ts";

/** Short enough that those of one tick are few; fewer of them where the interval is short. */
const TICK_MS = 250;
const MIN_TICKS = 15;

/** Tells quiet clients where they stand, so that they stay within the history: one timer for all, each at the phase at which it joined. */
export class Heartbeats {
  readonly #wheel: readonly Set<Subscription>[];
  readonly #timer: NodeJS.Timeout;
  #current = 0;

  constructor(intervalMs: number) {
    const ticks = Math.max(MIN_TICKS, Math.round(intervalMs / TICK_MS));
    this.#wheel = Array.from({ length: ticks }, () => new Set());
    this.#timer = setInterval(() => this.#tick(), intervalMs / ticks).unref();
  }

  add(subscription: Subscription): void {
    subscription.beat = this.#wheel[this.#current];
    subscription.beat?.add(subscription);
  }

  delete(subscription: Subscription): void {
    subscription.beat?.delete(subscription);
    subscription.beat = undefined;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#current = (this.#current + 1) % this.#wheel.length;
    const frames = new Map<View, Buffer>();
    for (const subscription of this.#wheel[this.#current] ?? []) beat(subscription, frames);
  }
}

/** One that is behind gets its events instead. */
function beat(subscription: Subscription, frames: Map<View, Buffer>): void {
  const { channel, view, writer, feed } = subscription;
  if (view.format.heartbeat === undefined || !writer.keepsUp) return;
  if (subscription.blockedSinceMs !== undefined) return;
  if (feed !== undefined) {
    const quiet = view.format.snapshots?.quiet;
    if (quiet !== undefined) writer.write(quiet);
    return;
  }
  let frame = frames.get(view);
  if (frame === undefined) {
    channel.reach();
    frame = view.format.heartbeat(view.cursorAt(channel.history.headIndex), view.name);
    frames.set(view, frame);
  }
  // The source may have handed over events when it was asked where it stands.
  if (subscription.generation === channel.history.generation && subscription.isAtHead) writer.write(frame);
}
