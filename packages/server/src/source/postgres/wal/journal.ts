import type { Position } from "@paperdb/protocol";
import type { ChannelKey, SourceEvent } from "../../change-source.ts";
import { EventBytes } from "./event-bytes.ts";
import type { DocumentEvent, EventAddress } from "./event-bytes.ts";
import { JournalChannel } from "./journal-channel.ts";
import type { WalSettings } from "./settings.ts";

/** The bounds of a {@link Journal}. */
export type JournalLimits = Pick<WalSettings, "maxHistoryBytes" | "maxHistoryAgeMs">;

/** In place of an address: events up to here are missing. */
const MISSING: EventAddress = -1;
/** What an entry weighs besides its texts. */
const ENTRY_OVERHEAD_BYTES = 320;
/** Compacted when this many forgotten entries lead the arrays. */
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
  readonly #stored = new EventBytes();
  // An entry for each event, and each place where one is missing; oldest first, after `#gone` that are forgotten.
  #channels: (JournalChannel | undefined)[] = [];
  #addresses: EventAddress[] = [];
  #times: number[] = [];
  #gone = 0;
  /** The positions of entries that are {@link MISSING}. */
  #missing: Position[] = [];
  #bytes = 0;
  /** The newest that was forgotten, which is still there. */
  #forgotten: EventAddress | undefined;
  #completeSince: Position | undefined;

  constructor(limits: JournalLimits, now: () => number = Date.now) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Since where no channel's events are missing, but for those marked by {@link miss}; undefined before {@link restart}. */
  get completeSince(): Position | undefined {
    if (this.#forgotten !== undefined) this.#completeSince = this.#stored.position(this.#forgotten);
    this.#forgotten = undefined;
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
    this.#stored.clear();
    this.#channels = [];
    this.#addresses = [];
    this.#missing = [];
    this.#times = [];
    this.#gone = 0;
    this.#bytes = 0;
    this.#forgotten = undefined;
    this.#completeSince = position;
  }

  /**
   * Keeps an event. Positions ascend.
   *
   * @param atMs - when it came, or would have come had this server been there.
   */
  add(event: DocumentEvent, atMs: number): void {
    const channel = this.#channel(event.channel);
    const address = this.#stored.add(event);
    channel.push(address);
    this.#push(channel, address, atMs);
  }

  /** Events of a channel up to here may be missing. */
  miss(key: ChannelKey, position: Position, atMs: number): void {
    const channel = this.#channel(key);
    channel.completeSince = position;
    this.#missing.push(position);
    this.#push(channel, MISSING, atMs);
  }

  /** A channel's events after `since` up to `until`, or undefined when some of them may be missing. */
  replay(
    { collection, tenant }: ChannelKey,
    since: Position,
    until: Position,
  ): readonly SourceEvent[] | undefined {
    const { completeSince } = this;
    if (completeSince === undefined || since < completeSince) return undefined;
    const channel = this.#collections.get(collection)?.get(tenant);
    if (channel === undefined) return [];
    if (since < channel.completeSince) return undefined;
    const addresses = channel.between(since, until, this.#stored);
    return addresses.map((address) => this.#stored.read(address, channel.key));
  }

  /** Forgets what is older than the limit. */
  forgetAged(): void {
    const keepFromMs = this.#now() - this.#limits.maxHistoryAgeMs;
    for (let time = this.#times[this.#gone]; time !== undefined; time = this.#times[this.#gone]) {
      if (time >= keepFromMs) return;
      this.#forget();
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
      channel = new JournalChannel({ collection, tenant });
      channels.set(tenant, channel);
    }
    return channel;
  }

  #push(channel: JournalChannel, address: EventAddress, atMs: number): void {
    this.#channels.push(channel);
    this.#addresses.push(address);
    this.#times.push(atMs);
    this.#bytes += this.#weightOf(channel, address);
    channel.entries += 1;
    while (this.#bytes > this.#limits.maxHistoryBytes && this.#gone < this.#addresses.length) this.#forget();
  }

  /** Forgets the oldest. */
  #forget(): void {
    const channel = this.#channels[this.#gone];
    const address = this.#addresses[this.#gone];
    if (channel === undefined || address === undefined) return;
    this.#bytes -= this.#weightOf(channel, address);
    this.#channels[this.#gone] = undefined;
    this.#gone += 1;
    if (this.#gone >= COMPACT_AT && this.#gone * 2 >= this.#addresses.length) this.#compact();
    if (address === MISSING) {
      this.#forgotten = undefined;
      this.#completeSince = this.#missing.shift();
    } else {
      channel.shift();
      this.#stored.forgetBefore(address);
      this.#forgotten = address;
    }
    channel.entries -= 1;
    if (channel.entries === 0) this.#remove(channel.key);
  }

  #weightOf({ key }: JournalChannel, address: EventAddress): number {
    if (address === MISSING) return ENTRY_OVERHEAD_BYTES;
    return this.#stored.textBytes(address) + key.tenant.length + ENTRY_OVERHEAD_BYTES;
  }

  #compact(): void {
    this.#channels = this.#channels.slice(this.#gone);
    this.#addresses = this.#addresses.slice(this.#gone);
    this.#times = this.#times.slice(this.#gone);
    this.#gone = 0;
  }

  #remove({ collection, tenant }: ChannelKey): void {
    const channels = this.#collections.get(collection);
    channels?.delete(tenant);
    if (channels?.size === 0) this.#collections.delete(collection);
  }
}
