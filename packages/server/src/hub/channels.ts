import type { ChangeLog, ChannelHistory } from "../log/change-log.ts";
import { channelId, type ChangeSource, type ChannelKey } from "../source/change-source.ts";
import { Channel } from "./channel.ts";

/** How long, and how many, channels without users are kept. */
export interface LingerLimits {
  /** How long a channel without subscriptions keeps its history. */
  readonly lingerMs: number;
  /** How many such channels are kept at most. */
  readonly maxLingeringChannels: number;
}

/** The channels that are in use or linger, each with the history that the log keeps for it. */
export class Channels {
  readonly #log: ChangeLog;
  readonly #limits: LingerLimits;
  readonly #byId = new Map<string, Channel>();
  readonly #byHistory = new WeakMap<ChannelHistory, Channel>();
  /** Channels without users, longest idle first. */
  readonly #idle = new Set<Channel>();
  /** Since the start: channels are named by it. */
  #opened = 0;

  constructor(log: ChangeLog, limits: LingerLimits) {
    this.#log = log;
    this.#limits = limits;
  }

  get size(): number {
    return this.#byId.size;
  }

  all(): readonly Channel[] {
    return [...this.#byId.values()];
  }

  find(history: ChannelHistory): Channel | undefined {
    return this.#byHistory.get(history);
  }

  isKnown(channel: Channel): boolean {
    return this.find(channel.history) === channel;
  }

  /** The channel, for one more user. */
  hold(source: ChangeSource, key: ChannelKey): Channel {
    const id = idOf(source, key);
    let channel = this.#byId.get(id);
    if (channel === undefined) {
      this.#opened += 1;
      const name = `c${this.#opened.toString(36)}`;
      channel = new Channel(name, key, source, this.#log.open(source.name, key));
      this.#byId.set(id, channel);
      this.#byHistory.set(channel.history, channel);
    }
    channel.users += 1;
    channel.idleSinceMs = undefined;
    this.#idle.delete(channel);
    return channel;
  }

  /** One of its users does not need it any more. */
  release(channel: Channel): void {
    if (channel.users === 0) throw new Error("The channel was released more often than it was opened.");
    channel.users -= 1;
    if (channel.users > 0 || !this.isKnown(channel)) return;
    channel.idleSinceMs = Date.now();
    this.#idle.add(channel);
  }

  forget(channel: Channel): void {
    this.#idle.delete(channel);
    this.#byId.delete(idOf(channel.source, channel.key));
    this.#byHistory.delete(channel.history);
    this.#log.close(channel.source.name, channel.history);
  }

  /** Ends what has lingered for long enough. Called every second. */
  closeIdle(): void {
    const idleBeforeMs = Date.now() - this.#limits.lingerMs;
    for (const channel of this.#idle) {
      const overdue = channel.idleSinceMs !== undefined && channel.idleSinceMs <= idleBeforeMs;
      if (!overdue && this.#idle.size <= this.#limits.maxLingeringChannels) return;
      this.forget(channel);
      channel.source.unwatch(channel.key);
    }
  }
}

function idOf(source: ChangeSource, key: ChannelKey): string {
  return `${source.name}\0${channelId(key)}`;
}
