import { RealtimeError } from "@paperdb/protocol";
import type { ChangeLog, ChannelHistory, LogListener } from "../log/change-log.ts";
import type { ChangeSource, ChannelKey } from "../source/change-source.ts";
import { SnapshotReads } from "../snapshot/snapshot-reads.ts";
import type { Channel } from "./channel.ts";
import { Channels, type LingerLimits } from "./channels.ts";
import type { DeliveryTarget, EndReason, EventFilter, FrameFormat } from "./delivery.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Heartbeats } from "./heartbeats.ts";
import type { HubObserver } from "./hub-observer.ts";
import { reachBack } from "./reach-back.ts";
import { placeOf } from "./resume-place.ts";
import type { OpenSnapshot } from "./snapshot-feed.ts";
import { SnapshotFeeds } from "./snapshot-feeds.ts";
import { requireRoomFor } from "./room-for-filter.ts";
import { SlowConsumers } from "./slow-consumers.ts";
import { Subscription } from "./subscription.ts";

/** The hub's bounds and intervals. */
export interface HubSettings extends LingerLimits {
  /** The most that a peer may be behind while it does not read. */
  readonly maxBufferedBytes: number;
  /** The most that is written to one socket at once, but for a single larger event. */
  readonly maxSliceBytes: number;
  /** How long a peer may accept nothing. */
  readonly writeTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** Comparisons that one change of a channel may take for filters that cannot be looked up. Default: no bound. */
  readonly maxTriedComparisons?: number;
  /** Encoded events kept for others that stand near, besides parsed ones, and values that filters look at, of about the same weight each. */
  readonly maxSharedBytes: number;
}

/** As sources call it. */
const DROPPED = "collection_dropped";

/** What a transport asks for. */
export interface SubscribeRequest {
  readonly target: DeliveryTarget;
  readonly format: FrameFormat;
  readonly filter: EventFilter | undefined;
  /** Where the client stands, as it says. */
  readonly cursor: string | undefined;
  /** Why what the client holds is void, whatever its cursor; undefined when it is not known to be. */
  readonly resetReason?: string | undefined;
  /** Whether documents come before `ready`. A usable cursor wins. */
  readonly snapshot?: boolean | undefined;
  /** What {@link Hub.openSnapshot} has given. */
  readonly opened?: OpenSnapshot | undefined;
}

/**
 * Channels → subscriptions.
 *
 * A transport first opens a channel, which takes as long as the source needs
 * to be live for it, and then subscribes, which is immediate.
 */
export class Hub implements LogListener {
  readonly #log: ChangeLog;
  readonly #settings: HubSettings;
  readonly #observer: HubObserver;
  readonly #channels: Channels;
  readonly #dispatcher: Dispatcher;
  readonly #heartbeats: Heartbeats;
  readonly #slowConsumers: SlowConsumers;
  readonly #snapshots: SnapshotFeeds;
  readonly #housekeeping: NodeJS.Timeout;
  #subscriptions = 0;

  constructor(
    log: ChangeLog,
    settings: HubSettings,
    observer: HubObserver,
    snapshots: SnapshotReads = new SnapshotReads(),
  ) {
    this.#log = log;
    this.#channels = new Channels(log, settings);
    this.#settings = settings;
    this.#observer = observer;
    this.#heartbeats = new Heartbeats(settings.heartbeatIntervalMs);
    this.#slowConsumers = new SlowConsumers(settings, (subscription) => this.#endSlow(subscription));
    const shared = {
      delivered: ({ source, key }: Channel, count: number) =>
        observer.delivered(source.name, key.collection, count),
      blocked: (subscription: Subscription) => this.#block(subscription),
    };
    this.#dispatcher = new Dispatcher(
      {
        ...shared,
        offered: (event) => observer.offered(event),
        fellBehind: (subscription) => this.#endSlow(subscription),
        wantsSnapshot: (subscription) =>
          this.#snapshots.begin(subscription, subscription.channel.history.resetReason),
        reset: (_subscription, reason) => observer.reset(reason),
      },
      settings.maxSharedBytes,
    );
    this.#snapshots = new SnapshotFeeds(snapshots, settings, {
      ...shared,
      reset: (reason) => observer.reset(reason),
      live: (subscription, keepsUp) => this.#follow(subscription, keepsUp),
      slow: (subscription) => this.#endSlow(subscription),
      failed: (subscription, error) => this.#end(subscription, { kind: "failed", error }),
    });
    this.#housekeeping = setInterval(() => {
      this.#slowConsumers.check();
      this.#channels.closeIdle();
    }, 1000).unref();
    log.attach(this);
  }

  /**
   * Makes a channel live and holds it for the caller, who must then
   * {@link subscribe} or {@link release}.
   *
   * @param cursor - where the client stands: where the history does not reach back to
   *   it, it is completed from the source's own log, as far as that goes.
   * @throws {RealtimeError} what {@link ChangeSource.watch} throws.
   */
  async open(source: ChangeSource, key: ChannelKey, cursor?: string): Promise<Channel> {
    const channel = this.#channels.hold(source, key);
    try {
      channel.history.begin(await source.watch(key));
      channel.reach();
      if (cursor !== undefined) await reachBack(channel, cursor, this.#log);
      if (!this.#channels.isKnown(channel)) {
        throw new RealtimeError("collection_not_found", `The collection "${key.collection}" was dropped.`);
      }
      return channel;
    } catch (error) {
      this.release(channel);
      throw error;
    }
  }

  /**
   * Refuses a filter that would make each of the channel's changes too dear. To be asked before {@link subscribe}.
   *
   * @throws {RealtimeError} `too_many_filters`.
   */
  admit(channel: Channel, filter: EventFilter | undefined): void {
    requireRoomFor(channel, filter, this.#settings.maxTriedComparisons ?? Infinity);
  }

  /** The caller of {@link open} does not need the channel. */
  release(channel: Channel): void {
    this.#channels.release(channel);
  }

  /**
   * Takes a snapshot for a client that is about to {@link subscribe}, which tells early when it cannot be had. One that
   * is not used in the end must be closed.
   *
   * @returns undefined for a client that goes on from its cursor.
   * @throws {RealtimeError} what {@link ChangeSource.snapshot} throws.
   */
  async openSnapshot(
    channel: Channel,
    { filter, cursor }: Pick<SubscribeRequest, "filter" | "cursor">,
    signal?: AbortSignal,
  ): Promise<OpenSnapshot | undefined> {
    if (cursor !== undefined && placeOf(channel, cursor) !== undefined) return undefined;
    return this.#snapshots.open(channel, filter, false, signal);
  }

  /** Subscribes on an open channel: the target is greeted, and what the client missed follows. */
  subscribe(channel: Channel, request: SubscribeRequest): Subscription {
    const { target, format, filter, snapshot = false, opened } = request;
    const cursor = request.resetReason === undefined ? request.cursor : undefined;
    const view = channel.view(format, filter, this.#settings.maxSliceBytes);
    const resumedAt = cursor === undefined ? undefined : placeOf(channel, cursor);
    const place = resumedAt ?? channel.history.headIndex;
    const isUnusable = cursor !== undefined && resumedAt === undefined;
    const resetReason = request.resetReason ?? (isUnusable ? "cursor_not_usable" : undefined);
    const subscription = new Subscription(target, channel, view, place, snapshot);
    this.#subscriptions += 1;
    view.roster.add(subscription);
    this.#heartbeats.add(subscription);
    // Since it was opened: those that had subscribed by then were told.
    if (!this.#channels.isKnown(channel)) {
      opened?.reading.close();
      this.#end(subscription, { kind: "dropped", detail: DROPPED });
      return subscription;
    }
    if (resetReason !== undefined) this.#observer.reset(resetReason);
    if (snapshot && resumedAt === undefined) {
      this.#snapshots.begin(subscription, resetReason, opened);
      return subscription;
    }
    opened?.reading.close();
    const keepsUp = target.greet({
      channel: view.name,
      cursor: resumedAt === undefined || cursor === undefined ? view.cursorAt(place) : cursor,
      resumed: resumedAt !== undefined,
      resetReason,
    });
    this.#follow(subscription, keepsUp);
    return subscription;
  }

  get isBehind(): boolean {
    return this.#dispatcher.isBehind;
  }

  /** The peer keeps up again. */
  resume(subscription: Subscription): void {
    if (subscription.closed || subscription.blockedSinceMs === undefined) return;
    this.#slowConsumers.delete(subscription);
    if (subscription.feed !== undefined) subscription.feed.wake();
    else this.#follow(subscription, true);
  }

  /** The peer reads, but does not keep up yet. */
  progressed(subscription: Subscription): void {
    this.#slowConsumers.progressed(subscription);
  }

  /** The client is gone. */
  unsubscribe(subscription: Subscription): void {
    if (subscription.closed) return;
    subscription.closed = true;
    this.#subscriptions -= 1;
    const { view, channel } = subscription;
    subscription.feed?.close();
    this.#heartbeats.delete(subscription);
    this.#slowConsumers.delete(subscription);
    view.roster.delete(subscription);
    if (view.roster.size === 0) channel.dropView(view);
    this.release(channel);
  }

  advanced(history: ChannelHistory): void {
    const channel = this.#channels.find(history);
    if (channel === undefined) return;
    channel.advance();
    if (channel.users > 0) this.#dispatcher.scheduleChannel(channel);
  }

  ended(history: ChannelHistory, reason: string): void {
    const channel = this.#channels.find(history);
    if (channel === undefined) return;
    this.#channels.forget(channel);
    for (const subscription of channel.subscriptions()) {
      this.#observer.reset(reason);
      this.#end(subscription, { kind: "dropped", detail: reason });
    }
  }

  /** Channels that are in use or linger. */
  get channelCount(): number {
    return this.#channels.size;
  }

  /** Clients that receive a channel. */
  get subscriptionCount(): number {
    return this.#subscriptions;
  }

  close(): void {
    clearInterval(this.#housekeeping);
    this.#heartbeats.close();
    for (const channel of this.#channels.all()) {
      for (const { feed } of channel.subscriptions()) feed?.close();
      this.#channels.forget(channel);
    }
  }

  /** It goes on from its place. */
  #follow(subscription: Subscription, keepsUp: boolean): void {
    if (!keepsUp) this.#block(subscription);
    if (!keepsUp || subscription.closed) return;
    subscription.view.roster.release(subscription);
    this.#dispatcher.scheduleSubscription(subscription);
  }

  /** It is passed over until {@link resume}. */
  #block(subscription: Subscription): void {
    if (subscription.closed) return;
    subscription.view.roster.hold(subscription);
    this.#slowConsumers.add(subscription);
  }

  #endSlow(subscription: Subscription): void {
    this.#observer.slowConsumer();
    this.#end(subscription, { kind: "slow_consumer" });
  }

  #end(subscription: Subscription, reason: EndReason): void {
    this.unsubscribe(subscription);
    subscription.target.end(reason);
  }
}
