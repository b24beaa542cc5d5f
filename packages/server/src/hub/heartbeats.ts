import type { Subscription } from "./subscription.ts";
import type { View } from "./view.ts";
import { Wheel } from "./wheel.ts";

/** Tells quiet clients where they stand, so that they stay within the history: one timer for all. */
export class Heartbeats {
  readonly #wheel: Wheel<Subscription>;

  constructor(intervalMs: number) {
    this.#wheel = new Wheel(intervalMs, (subscriptions) => {
      const frames = new Map<View, Buffer>();
      for (const subscription of subscriptions) beat(subscription, frames);
    });
  }

  add(subscription: Subscription): void {
    subscription.beat = this.#wheel.add(subscription);
  }

  delete(subscription: Subscription): void {
    if (subscription.beat !== undefined) this.#wheel.delete(subscription, subscription.beat);
    subscription.beat = undefined;
  }

  close(): void {
    this.#wheel.close();
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
