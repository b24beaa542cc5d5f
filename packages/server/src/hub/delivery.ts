import type { SourceEvent } from "../source/change-source.ts";

/** How a transport writes. One instance per wire format: frames are cached by it. */
export interface FrameFormat {
  event(event: SourceEvent, cursor: string): Buffer;
  ready(cursor: string, resumed: boolean): Buffer;
  reset(reason: string): Buffer;
  /** Carries the cursor of a quiet subscription. */
  heartbeat(cursor: string): Buffer;
}

/** Why the hub ends a subscription. */
export type EndReason =
  { readonly kind: "slow_consumer" } | { readonly kind: "dropped"; readonly detail: string };

/** The receiving side of a subscription: a transport's connection. */
export interface DeliveryTarget {
  /**
   * Writes frames in one system call.
   *
   * @returns false when the peer does not keep up: the hub then leaves the
   * subscription at its place until {@link Subscription.resume}.
   */
  write(frames: Buffer): boolean;
  /** The subscription is over; the hub has forgotten it. */
  end(reason: EndReason): void;
}

/** Which events of a channel a subscription wants. */
export interface EventFilter {
  /** The same for filters that match the same events: their subscriptions share frames. */
  readonly id: string;
  matches(event: SourceEvent): boolean;
}
