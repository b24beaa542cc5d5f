import type { Position } from "@paperdb/protocol";
import type { ChangeSink, ChannelKey, SourceEvent } from "../../source/change-source.ts";
import type { ChangeLog, ChannelHistory, LogListener, LogStats } from "../change-log.ts";
import { ChannelEvents, type StoredEntry, type TurnLimits } from "./channel-events.ts";
import { OpenChannels } from "./open-channels.ts";

/** How much the log keeps. Whatever is beyond any of these is forgotten, oldest first. */
export interface HistoryLimits {
  readonly maxEventsPerChannel: number;
  readonly maxBytesPerChannel: number;
  readonly maxBytesTotal: number;
  readonly maxAgeMs: number;
}

/** What an event weighs besides its JSON. */
const ENTRY_OVERHEAD_BYTES = 256;
const AGE_CHECK_INTERVAL_MS = 1000;
/** Sources go on in the event loop's next turn after so much of one channel, so that subscriptions can follow a long transaction. */
const SLICE: TurnLimits = { events: 256, bytes: 65_536 };
/** And after so much of all channels, while the hub keeps up: the more of a channel, the more it writes at once. */
const MAX_PER_TURN: TurnLimits = { events: 2_048, bytes: 524_288 };
/** But no more of what is kept, which must not be forgotten before it is delivered. */
const MAX_SHARE_PER_TURN = 1 / 8;

/** The embedded default: histories in this process's memory. */
export class MemoryLog implements ChangeLog {
  readonly #limits: HistoryLimits;
  readonly #now: () => number;
  readonly #sources = new Map<string, OpenChannels>();
  /** Set while there is something that ages. */
  #ageCheck: NodeJS.Timeout | undefined;
  #isStopped = false;
  #listener: LogListener | undefined;
  #oldest: StoredEntry | undefined;
  #newest: StoredEntry | undefined;
  #events = 0;
  #bytes = 0;
  #turn = 0;
  #turnLimits = SLICE;
  readonly #maxPerTurn: TurnLimits;
  #eventsInTurn = 0;
  #bytesInTurn = 0;
  #isTurnFull = false;
  #waiting: Promise<void> | undefined;

  constructor(limits: HistoryLimits, now: () => number = Date.now) {
    this.#limits = limits;
    this.#now = now;
    const maxBytes = Math.min(MAX_PER_TURN.bytes, limits.maxBytesTotal * MAX_SHARE_PER_TURN);
    this.#maxPerTurn = { ...MAX_PER_TURN, bytes: Math.max(SLICE.bytes, maxBytes) };
  }

  attach(listener: LogListener): void {
    this.#listener = listener;
  }

  sinkFor(source: string): ChangeSink {
    const channels = this.#channelsOf(source);
    return {
      append: (events) => this.#append(channels, events),
      lost: (keys, position, reason) => this.#lost(channels, keys, position, reason),
      dropped: (collection, reason) => this.#dropped(channels, collection, reason),
    };
  }

  open(source: string, key: ChannelKey): ChannelEvents {
    const channel = new ChannelEvents(key);
    this.#channelsOf(source).add(channel);
    return channel;
  }

  prepend(history: ChannelHistory, events: readonly SourceEvent[], since: Position): boolean {
    const channel = this.#find(history);
    if (channel === undefined) return false;
    const { completeSince } = channel;
    if (completeSince === undefined) return false;
    // What came before the source said that it watches is among the events, or void.
    while (channel.oldest !== undefined && channel.oldest.event.position <= completeSince) {
      this.#forgetOldestOf(channel);
    }
    const weighed = events.map((event) => ({ event, bytes: weight(event) }));
    const bytes = weighed.reduce((sum, entry) => sum + entry.bytes, 0);
    if (!this.#hasRoom(channel, events.length, bytes)) return false;
    // As old as what follows them, so that they are forgotten first.
    const { oldest } = channel;
    const entries = channel.unshift(weighed, since, oldest?.appendedAtMs ?? this.#now());
    for (const entry of entries) this.#link(entry, oldest);
    return true;
  }

  close(source: string, history: ChannelHistory): void {
    const channels = this.#channelsOf(source);
    const channel = channels.get(history.key);
    if (channel === undefined || channel !== history) return;
    channels.delete(history.key);
    this.#clear(channel);
  }

  stats(): LogStats {
    let channels = 0;
    for (const open of this.#sources.values()) channels += open.size;
    return { channels, events: this.#events, bytes: this.#bytes };
  }

  /** Forgets what is older than the limit. Called every second while there is something to forget. */
  forgetAged(): void {
    const keepFromMs = this.#now() - this.#limits.maxAgeMs;
    while (this.#oldest !== undefined && this.#oldest.appendedAtMs < keepFromMs) {
      this.#forgetOldestOf(this.#oldest.owner);
    }
    if (this.#oldest === undefined) this.#endAgeCheck();
  }

  /** Ends the age check; the histories stay readable. */
  stop(): void {
    this.#isStopped = true;
    this.#endAgeCheck();
  }

  #beginAgeCheck(): void {
    if (this.#isStopped) return;
    this.#ageCheck = setInterval(() => this.forgetAged(), AGE_CHECK_INTERVAL_MS).unref();
  }

  #endAgeCheck(): void {
    clearInterval(this.#ageCheck);
    this.#ageCheck = undefined;
  }

  #channelsOf(source: string): OpenChannels {
    let channels = this.#sources.get(source);
    if (channels === undefined) {
      channels = new OpenChannels();
      this.#sources.set(source, channels);
    }
    return channels;
  }

  #find(history: ChannelHistory): ChannelEvents | undefined {
    for (const channels of this.#sources.values()) {
      const channel = channels.get(history.key);
      if (channel === history) return channel;
    }
    return undefined;
  }

  #hasRoom(channel: ChannelEvents, events: number, bytes: number): boolean {
    const { maxEventsPerChannel, maxBytesPerChannel, maxBytesTotal } = this.#limits;
    return (
      channel.length + events <= maxEventsPerChannel &&
      channel.bytes + bytes <= maxBytesPerChannel &&
      this.#bytes + bytes <= maxBytesTotal
    );
  }

  #append(channels: OpenChannels, events: readonly SourceEvent[]): void | Promise<void> {
    const nowMs = this.#now();
    let key: ChannelKey | undefined;
    let channel: ChannelEvents | undefined;
    for (const event of events) {
      // A long transaction is of few channels, whose events share the key.
      if (event.channel !== key) {
        key = event.channel;
        channel = channels.get(key);
      }
      if (channel === undefined) continue;
      const bytes = weight(event);
      this.#link(channel.push(event, bytes, nowMs));
      this.#count(channel, bytes);
      this.#trim(channel);
      this.#listener?.advanced(channel);
    }
    return this.#isTurnFull ? this.#nextTurn() : undefined;
  }

  #count(channel: ChannelEvents, bytes: number): void {
    this.#eventsInTurn += 1;
    this.#bytesInTurn += bytes;
    const { events, bytes: maxBytes } = this.#turnLimits;
    this.#isTurnFull ||=
      channel.fillsTurn(this.#turn, SLICE) || this.#eventsInTurn >= events || this.#bytesInTurn >= maxBytes;
  }

  #nextTurn(): Promise<void> {
    this.#waiting ??= new Promise((resolve) => {
      // Behind the hub's, which has written what it could.
      setImmediate(() => {
        this.#waiting = undefined;
        this.#turn += 1;
        this.#turnLimits = this.#listener?.isBehind === true ? SLICE : this.#maxPerTurn;
        this.#eventsInTurn = 0;
        this.#bytesInTurn = 0;
        this.#isTurnFull = false;
        resolve();
      });
    });
    return this.#waiting;
  }

  /** A channel always keeps its newest event, so that one large event can be delivered. */
  #trim(channel: ChannelEvents): void {
    const { maxEventsPerChannel, maxBytesPerChannel, maxBytesTotal } = this.#limits;
    while (
      channel.length > 1 &&
      (channel.length > maxEventsPerChannel || channel.bytes > maxBytesPerChannel)
    ) {
      this.#forgetOldestOf(channel);
    }
    while (this.#bytes > maxBytesTotal && this.#oldest !== undefined && this.#oldest !== this.#newest) {
      this.#forgetOldestOf(this.#oldest.owner);
    }
  }

  #lost(
    channels: OpenChannels,
    keys: Iterable<ChannelKey> | "all",
    position: Position,
    reason: string,
  ): void {
    const affected = keys === "all" ? channels.all() : [...keys].flatMap((key) => channels.get(key) ?? []);
    for (const channel of affected) {
      this.#clear(channel);
      channel.reset(position, reason);
      this.#listener?.advanced(channel);
    }
  }

  #dropped(channels: OpenChannels, collection: string, reason: string): void {
    for (const channel of channels.of(collection)) this.#listener?.ended(channel, reason);
  }

  #clear(channel: ChannelEvents): void {
    while (channel.length > 0) this.#forgetOldestOf(channel);
  }

  /** Puts an entry before another one in the order of age, or after all. */
  #link(entry: StoredEntry, before?: StoredEntry): void {
    if (this.#ageCheck === undefined) this.#beginAgeCheck();
    this.#events += 1;
    this.#bytes += entry.bytes;
    const older = before === undefined ? this.#newest : before.older;
    entry.older = older;
    entry.newer = before;
    if (older === undefined) this.#oldest = entry;
    else older.newer = entry;
    if (before === undefined) this.#newest = entry;
    else before.older = entry;
  }

  #forgetOldestOf(channel: ChannelEvents): void {
    const entry = channel.shift();
    this.#events -= 1;
    this.#bytes -= entry.bytes;
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
  }
}

function weight({ body }: SourceEvent): number {
  if ("topic" in body) return body.data.length + ENTRY_OVERHEAD_BYTES;
  const { document, prior = "", hidden = "", priorHidden = "" } = body;
  return document.length + prior.length + hidden.length + priorHidden.length + ENTRY_OVERHEAD_BYTES;
}
