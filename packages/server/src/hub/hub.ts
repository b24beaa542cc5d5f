import { RealtimeError } from "@paperdb/protocol";
import type { ChangeLog, ChannelHistory, LogListener } from "../log/change-log.ts";
import { channelId, type ChangeSource, type ChannelKey } from "../source/change-source.ts";
import { SnapshotReads } from "../snapshot/snapshot-reads.ts";
import { Channel } from "./channel.ts";
import type { DeliveryTarget, EndReason, EventFilter, FrameFormat } from "./delivery.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Heartbeats } from "./heartbeats.ts";
import type { HubObserver } from "./hub-observer.ts";
import { reachBack } from "./reach-back.ts";
import { unchangedSince } from "./seam-place.ts";
import { SnapshotFeed } from "./snapshot-feed.ts";
import type { OpenSnapshot } from "./snapshot-feed.ts";
import { requireRoomFor } from "./room-for-filter.ts";
import { SlowConsumers } from "./slow-consumers.ts";
import { Subscription } from "./subscription.ts";

/** The hub's bounds and intervals. */
export interface HubSettings {
  /** How long a channel without subscriptions keeps its history. */
  readonly lingerMs: number;
  /** How many such channels are kept at most. */
  readonly maxLingeringChannels: number;
  /** The most that a peer may be behind while it does not read. */
  readonly maxBufferedBytes: number;
  /** The most that is written to one socket at once, but for a single larger event. */
  readonly maxSliceBytes: number;
  /** How long a peer may accept nothing. */
  readonly writeTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** Comparisons that one change of a channel may take for filters that cannot be looked up. Default: no bound. */
  readonly maxTriedComparisons?: number;
}

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
  readonly #channels = new Map<string, Channel>();
  readonly #byHistory = new WeakMap<ChannelHistory, Channel>();
  /** Channels without users, longest idle first. */
  readonly #idle = new Set<Channel>();
  readonly #dispatcher: Dispatcher;
  readonly #heartbeats: Heartbeats;
  readonly #slowConsumers: SlowConsumers;
  readonly #snapshots: SnapshotReads;
  readonly #housekeeping: NodeJS.Timeout;
  #subscriptions = 0;
  /** Since the start: channels are named by it. */
  #openedChannels = 0;

  constructor(
    log: ChangeLog,
    settings: HubSettings,
    observer: HubObserver,
    snapshots: SnapshotReads = new SnapshotReads(),
  ) {
    this.#log = log;
    this.#snapshots = snapshots;
    this.#settings = settings;
    this.#observer = observer;
    this.#heartbeats = new Heartbeats(settings.heartbeatIntervalMs);
    this.#slowConsumers = new SlowConsumers(settings, (subscription) => this.#endSlow(subscription));
    this.#dispatcher = new Dispatcher({
      delivered: (channel, count) => observer.delivered(channel.source.name, channel.key.collection, count),
      offered: (event) => observer.offered(event),
      blocked: (subscription) => this.#slowConsumers.add(subscription),
      fellBehind: (subscription) => this.#endSlow(subscription),
      wantsSnapshot: (subscription) => {
        this.#feed(subscription, { resetReason: subscription.channel.history.resetReason });
      },
      reset: (_subscription, reason) => observer.reset(reason),
    });
    this.#housekeeping = setInterval(() => {
      this.#slowConsumers.check();
      this.#closeIdle();
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
    const channel = this.#hold(source, key);
    try {
      channel.history.begin(await source.watch(key));
      channel.reach();
      if (cursor !== undefined) await reachBack(channel, cursor, this.#log);
      if (!this.#isKnown(channel)) {
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
    if (channel.users === 0) throw new Error("The channel was released more often than it was opened.");
    channel.users -= 1;
    if (channel.users > 0 || !this.#isKnown(channel)) return;
    channel.idleSinceMs = Date.now();
    this.#idle.add(channel);
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
    if (cursor !== undefined && channel.placeOf(cursor) !== undefined) return undefined;
    return this.#openSnapshot(channel, filter, false, signal);
  }

  /** Subscribes on an open channel: the target is greeted, and what the client missed follows. */
  subscribe(channel: Channel, request: SubscribeRequest): Subscription {
    const { target, format, filter, snapshot = false, opened } = request;
    const cursor = request.resetReason === undefined ? request.cursor : undefined;
    const view = channel.view(format, filter, this.#settings.maxSliceBytes);
    const resumedAt = cursor === undefined ? undefined : channel.placeOf(cursor);
    const place = resumedAt ?? channel.history.headIndex;
    const isUnusable = cursor !== undefined && resumedAt === undefined;
    const resetReason = request.resetReason ?? (isUnusable ? "cursor_not_usable" : undefined);
    const subscription = new Subscription(target, channel, view, place, snapshot);
    this.#subscriptions += 1;
    view.subscriptions.add(subscription);
    this.#heartbeats.add(subscription);
    if (resetReason !== undefined) this.#observer.reset(resetReason);
    if (snapshot && resumedAt === undefined) {
      this.#feed(subscription, { resetReason, opened });
      return subscription;
    }
    opened?.reading.close();
    const keepsUp = target.greet({
      channel: view.name,
      cursor: resumedAt === undefined || cursor === undefined ? view.cursorAt(place) : cursor,
      resumed: resumedAt !== undefined,
      resetReason,
    });
    if (keepsUp) this.#dispatcher.scheduleSubscription(subscription);
    else if (!subscription.closed) this.#slowConsumers.add(subscription);
    return subscription;
  }

  /** The peer keeps up again. */
  resume(subscription: Subscription): void {
    if (subscription.closed || subscription.blockedSinceMs === undefined) return;
    this.#slowConsumers.delete(subscription);
    if (subscription.feed !== undefined) subscription.feed.wake();
    else this.#dispatcher.scheduleSubscription(subscription);
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
    view.subscriptions.delete(subscription);
    if (view.subscriptions.size === 0) channel.dropView(view);
    this.release(channel);
  }

  advanced(history: ChannelHistory): void {
    const channel = this.#byHistory.get(history);
    if (channel === undefined) return;
    channel.advance();
    if (channel.users > 0) this.#dispatcher.scheduleChannel(channel);
  }

  ended(history: ChannelHistory, reason: string): void {
    const channel = this.#byHistory.get(history);
    if (channel === undefined) return;
    this.#forget(channel);
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
    for (const channel of this.#channels.values()) {
      for (const { feed } of channel.subscriptions()) feed?.close();
      this.#forget(channel);
    }
  }

  #hold(source: ChangeSource, key: ChannelKey): Channel {
    const id = `${source.name}\0${channelId(key)}`;
    let channel = this.#channels.get(id);
    if (channel === undefined) {
      this.#openedChannels += 1;
      const name = `c${this.#openedChannels.toString(36)}`;
      channel = new Channel(name, key, source, this.#log.open(source.name, key));
      this.#channels.set(id, channel);
      this.#byHistory.set(channel.history, channel);
    }
    channel.users += 1;
    channel.idleSinceMs = undefined;
    this.#idle.delete(channel);
    return channel;
  }

  async #openSnapshot(
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
    const reading = await this.#snapshots.open(request, signal);
    return { reading, generation };
  }

  /** Sends documents before the subscription gets a place. */
  #feed(
    subscription: Subscription,
    { resetReason, opened }: { resetReason: string | undefined; opened?: OpenSnapshot | undefined },
  ): void {
    const { channel, view, target } = subscription;
    const { snapshots: frames } = view.format;
    const { snapshots: output } = target;
    if (frames === undefined || output === undefined) throw new Error("This transport has no snapshots.");
    const feed = new SnapshotFeed({
      subscription,
      frames,
      output,
      maxSliceBytes: this.#settings.maxSliceBytes,
      open: (alone, signal) => this.#openSnapshot(channel, view.filter, alone, signal),
      observer: {
        delivered: (count) => this.#observer.delivered(channel.source.name, channel.key.collection, count),
        blocked: () => this.#slowConsumers.add(subscription),
        reset: (reason) => this.#observer.reset(reason),
        live: (keepsUp) => {
          subscription.feed = undefined;
          if (keepsUp) this.#dispatcher.scheduleSubscription(subscription);
          else if (!subscription.closed) this.#slowConsumers.add(subscription);
        },
        slow: () => this.#endSlow(subscription),
        failed: (error) => this.#end(subscription, { kind: "failed", error }),
      },
    });
    subscription.feed = feed;
    if (resetReason !== undefined && !output.reset(resetReason)) this.#slowConsumers.add(subscription);
    void feed.run(opened);
  }

  #isKnown(channel: Channel): boolean {
    return this.#byHistory.get(channel.history) === channel;
  }

  #endSlow(subscription: Subscription): void {
    this.#observer.slowConsumer();
    this.#end(subscription, { kind: "slow_consumer" });
  }

  #end(subscription: Subscription, reason: EndReason): void {
    this.unsubscribe(subscription);
    subscription.target.end(reason);
  }

  #closeIdle(): void {
    const idleBeforeMs = Date.now() - this.#settings.lingerMs;
    for (const channel of this.#idle) {
      const overdue = channel.idleSinceMs !== undefined && channel.idleSinceMs <= idleBeforeMs;
      if (!overdue && this.#idle.size <= this.#settings.maxLingeringChannels) return;
      this.#forget(channel);
      channel.source.unwatch(channel.key);
    }
  }

  #forget(channel: Channel): void {
    this.#idle.delete(channel);
    this.#channels.delete(`${channel.source.name}\0${channelId(channel.key)}`);
    this.#byHistory.delete(channel.history);
    this.#log.close(channel.source.name, channel.history);
  }
}
