import type { Position } from "@paperdb/protocol";
import type { ChannelKey, SourceEvent } from "../../change-source.ts";
import { JournalChannel } from "./journal-channel.ts";
import type { WalSettings } from "./settings.ts";

/** The bounds of a {@link Journal}. */
export type JournalLimits = Pick<WalSettings, "maxHistoryBytes" | "maxHistoryAgeMs">;

interface Entry {
  readonly channel: JournalChannel;
  readonly position: Position;
  readonly atMs: number;
  readonly bytes: number;
  /** Undefined: something is missing here. */
  readonly event: SourceEvent | undefined;
}

/** What an entry weighs besides its JSON. */
const ENTRY_OVERHEAD_BYTES = 320;
/** Compacted when this many forgotten entries lead the array. */
const COMPACT_AT = 4_096;

/**
 * The recent events of all channels, watched or not, in memory: after a restart this is what the
 * database's log is read into again, for clients that come back. It is bounded in time and in bytes, and
 * a channel's events are found without looking at others.
 */
export class Journal {
  readonly #limits: JournalLimits;
  readonly #now: () => number;
  readonly #collections = new Map<string, Map<string, JournalChannel>>();
  /** Oldest first, after `#gone` that are forgotten. */
  #entries: (Entry | undefined)[] = [];
  #gone = 0;
  #bytes = 0;
  #completeSince: Position | undefined;

  constructor(limits: JournalLimits, now: () => number = Date.now) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Since where no channel's events are missing, but for those marked by {@link miss}; undefined before {@link restart}. */
  get completeSince(): Position | undefined {
    return this.#completeSince;
  }

  /** How many bytes are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many channels something is kept of. */
  get channels(): number {
    let count = 0;
    for (const channels of this.#collections.values()) count += channels.size;
    return count;
  }

  /** Forgets everything: it is complete from here on. */
  restart(position: Position): void {
    this.#collections.clear();
    this.#entries = [];
    this.#gone = 0;
    this.#bytes = 0;
    this.#completeSince = position;
  }

  /**
   * Keeps an event. Positions ascend.
   *
   * @param atMs - when it came, or would have come had this server been there.
   */
  add(event: SourceEvent, atMs: number): void {
    const channel = this.#channel(event.channel);
    channel.push(event);
    this.#push({ channel, position: event.position, atMs, bytes: weight(event), event });
  }

  /** Events of a channel up to here may be missing. */
  miss(key: ChannelKey, position: Position, atMs: number): void {
    const channel = this.#channel(key);
    channel.completeSince = position;
    this.#push({ channel, position, atMs, bytes: ENTRY_OVERHEAD_BYTES, event: undefined });
  }

  /** A channel's events after `since` up to `until`, or undefined when some of them may be missing. */
  replay(
    { collection, tenant }: ChannelKey,
    since: Position,
    until: Position,
  ): readonly SourceEvent[] | undefined {
    if (this.#completeSince === undefined || since < this.#completeSince) return undefined;
    const channel = this.#collections.get(collection)?.get(tenant);
    if (channel === undefined) return [];
    return since < channel.completeSince ? undefined : channel.between(since, until);
  }

  /** Forgets what is older than the limit. */
  forgetAged(): void {
    const keepFromMs = this.#now() - this.#limits.maxHistoryAgeMs;
    for (let oldest = this.#entries[this.#gone]; oldest !== undefined; oldest = this.#entries[this.#gone]) {
      if (oldest.atMs >= keepFromMs) return;
      this.#forget(oldest);
    }
  }

  #channel({ collection, tenant }: ChannelKey): JournalChannel {
    let channels = this.#collections.get(collection);
    if (channels === undefined) {
      channels = new Map();
      this.#collections.set(collection, channels);
    }
    let channel = channels.get(tenant);
    if (channel === undefined) {
      channel = new JournalChannel(collection, tenant);
      channels.set(tenant, channel);
    }
    return channel;
  }

  #push(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
    entry.channel.entries += 1;
    while (this.#bytes > this.#limits.maxHistoryBytes) {
      const oldest = this.#entries[this.#gone];
      if (oldest === undefined) return;
      this.#forget(oldest);
    }
  }

  /** @param entry - the oldest. */
  #forget({ channel, position, bytes, event }: Entry): void {
    this.#entries[this.#gone] = undefined;
    this.#gone += 1;
    if (this.#gone >= COMPACT_AT && this.#gone * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#gone);
      this.#gone = 0;
    }
    this.#bytes -= bytes;
    if (this.#completeSince === undefined || this.#completeSince < position) this.#completeSince = position;
    if (event !== undefined) channel.shift();
    channel.entries -= 1;
    if (channel.entries > 0) return;
    const channels = this.#collections.get(channel.collection);
    channels?.delete(channel.tenant);
    if (channels?.size === 0) this.#collections.delete(channel.collection);
  }
}

function weight({ body, channel }: SourceEvent): number {
  if ("topic" in body) return body.data.length + ENTRY_OVERHEAD_BYTES;
  const { documentId, document, prior = "", hidden = "", priorHidden = "" } = body;
  const before = prior.length + hidden.length + priorHidden.length;
  return document.length + before + documentId.length + channel.tenant.length + ENTRY_OVERHEAD_BYTES;
}
