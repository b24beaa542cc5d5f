import { RealtimeError } from "@paperdb/protocol";
import type { SnapshotReads } from "../snapshot/snapshot-reads.ts";
import type { Channel } from "./channel.ts";
import type { EventFilter } from "./delivery.ts";
import { unchangedSince } from "./seam-place.ts";
import { SnapshotFeed } from "./snapshot-feed.ts";
import type { OpenSnapshot, SnapshotFeedOptions } from "./snapshot-feed.ts";
import type { Subscription } from "./subscription.ts";

/** What {@link SnapshotFeeds} tell about their work. */
export interface SnapshotFeedsObserver {
  /** `count` events were written. */
  delivered(channel: Channel, count: number): void;
  /** A peer does not keep up any more. */
  blocked(subscription: Subscription): void;
  /** What was sent is void, and it begins again. */
  reset(reason: string): void;
  /** The subscription has its place, and was greeted. */
  live(subscription: Subscription, keepsUp: boolean): void;
  /** A peer takes too long. */
  slow(subscription: Subscription): void;
  failed(subscription: Subscription, error: RealtimeError): void;
}

/** What is written, and kept, at a time. */
type SnapshotFeedLimits = Pick<SnapshotFeedOptions, "maxSliceBytes" | "maxSharedBytes">;

/** Snapshots for the subscriptions of a hub. */
export class SnapshotFeeds {
  readonly #reads: SnapshotReads;
  readonly #limits: SnapshotFeedLimits;
  readonly #observer: SnapshotFeedsObserver;

  constructor(reads: SnapshotReads, limits: SnapshotFeedLimits, observer: SnapshotFeedsObserver) {
    this.#reads = reads;
    this.#limits = limits;
    this.#observer = observer;
  }

  /**
   * Takes a snapshot of a channel's documents.
   *
   * @param alone - the one who asks has held up others that shared one.
   * @throws {RealtimeError} `snapshot_not_supported`, and what {@link ChangeSource.snapshot} throws.
   */
  async open(
    { source, key, history }: Channel,
    filter: EventFilter | undefined,
    alone: boolean,
    signal?: AbortSignal,
  ): Promise<OpenSnapshot> {
    if (source.snapshot === undefined) {
      throw new RealtimeError(
        "snapshot_not_supported",
        "Topics have no documents, so there is no snapshot of them.",
      );
    }
    const { generation } = history;
    // Where something has changed since, the documents are read anew.
    const notBefore = unchangedSince(history);
    const narrowing = filter?.documents?.narrowing;
    const request = { source, key, narrowing, generation, notBefore, alone };
    const reading = await this.#reads.open(request, signal);
    return { reading, generation };
  }

  /**
   * Sends documents before the subscription gets a place.
   *
   * @param resetReason - why what the client holds is void; undefined when it holds nothing.
   */
  begin(subscription: Subscription, resetReason: string | undefined, opened?: OpenSnapshot): void {
    const { channel, view, target } = subscription;
    const { snapshots: frames } = view.format;
    const { snapshots: output } = target;
    if (frames === undefined || output === undefined) throw new Error("This transport has no snapshots.");
    const observer = this.#observer;
    const { maxSliceBytes, maxSharedBytes } = this.#limits;
    const feed = new SnapshotFeed({
      subscription,
      frames,
      output,
      maxSliceBytes,
      maxSharedBytes,
      open: (alone, signal) => this.open(channel, view.filter, alone, signal),
      observer: {
        delivered: (count) => observer.delivered(channel, count),
        blocked: () => observer.blocked(subscription),
        reset: (reason) => observer.reset(reason),
        live: (keepsUp) => {
          subscription.feed = undefined;
          observer.live(subscription, keepsUp);
        },
        slow: () => observer.slow(subscription),
        failed: (error) => observer.failed(subscription, error),
      },
    });
    subscription.feed = feed;
    if (resetReason !== undefined && !output.reset(resetReason)) observer.blocked(subscription);
    void feed.run(opened);
  }
}
