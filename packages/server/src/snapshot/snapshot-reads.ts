import { RealtimeError } from "@paperdb/protocol";
import type { Position } from "@paperdb/protocol";
import { channelId } from "../source/change-source.ts";
import type { ChangeSource, ChannelKey, SnapshotNarrowing } from "../source/change-source.ts";
import { BufferShares } from "./buffer-shares.ts";
import { SharedRead } from "./shared-read.ts";
import { SNAPSHOT_READS_DEFAULTS } from "./snapshot-reads-settings.ts";
import type { SnapshotReadsSettings } from "./snapshot-reads-settings.ts";
import type { SnapshotReading } from "./snapshot-reading.ts";
import { Turns } from "./turns.ts";

/** What is asked for. */
export interface SnapshotReadRequest {
  readonly source: ChangeSource;
  readonly key: ChannelKey;
  readonly narrowing: SnapshotNarrowing | undefined;
  /** Of the channel's history: what was read before a reset is of no use after it. */
  readonly generation?: number;
  /** One that was taken, and whose `since` is before this, is too old to be shared. */
  readonly notBefore?: Position | undefined;
  /** Not to be shared: the one who asks has held up others before. */
  readonly alone?: boolean;
}

/** A read, from when it waits for its turn until it holds nothing any more. */
interface Held {
  readonly source: ChangeSource;
  /** The tenant, in the source. */
  readonly party: string;
  readonly read: SharedRead;
  /** Whether it has its turn. */
  isRunning: boolean;
  /** What it counts for: as long as it is read, at least all that it may hold. */
  bytes: number;
}

/**
 * Reads snapshots, a few at a time, tenants in rotation. Those that ask for the same one within a moment share it.
 */
export class SnapshotReads {
  readonly #settings: SnapshotReadsSettings;
  readonly #windowBytes: number;
  readonly #shareable = new Map<string, SharedRead>();
  readonly #turns = new Map<ChangeSource, Turns<Held>>();
  readonly #shares: BufferShares;
  /** Those that count for something. */
  readonly #held = new Set<Held>();
  #stallTimer: NodeJS.Timeout | undefined;

  constructor(settings: Partial<SnapshotReadsSettings> = {}) {
    this.#settings = { ...SNAPSHOT_READS_DEFAULTS, ...settings };
    const { maxBufferedBytes, maxConcurrent } = this.#settings;
    this.#windowBytes = maxBufferedBytes / (2 * maxConcurrent);
    this.#shares = new BufferShares(maxBufferedBytes);
  }

  /** Snapshots that are being read and that wait for their turn, and the bytes that were read and not yet taken. */
  stats(): { readonly reading: number; readonly waiting: number; readonly bytes: number } {
    let [reading, waiting, bytes] = [0, 0, 0];
    for (const turns of this.#turns.values()) {
      reading += turns.running;
      waiting += turns.waiting;
    }
    for (const { read } of this.#held) bytes += read.bytes;
    return { reading, waiting, bytes };
  }

  /**
   * Resolves once the snapshot was taken. Rejects with what the source throws, or the signal's reason.
   *
   * @throws {RealtimeError} `source_unavailable` when too many of the tenant's wait.
   */
  async open(request: SnapshotReadRequest, signal?: AbortSignal): Promise<SnapshotReading> {
    signal?.throwIfAborted();
    const reader = this.#find(request).join();
    const abandon = (): void => reader.end(signal?.reason);
    signal?.addEventListener("abort", abandon, { once: true });
    this.#beginNext(request.source);
    try {
      await reader.taken;
      return reader;
    } finally {
      signal?.removeEventListener("abort", abandon);
    }
  }

  #find(request: SnapshotReadRequest): SharedRead {
    const { source, key, narrowing, generation = 0, notBefore = "", alone = false } = request;
    if (alone) return this.#create(request, undefined);
    const id = `${source.name}\0${channelId(key)}\0${String(generation)}\0${narrowing?.id ?? ""}`;
    const existing = this.#shareable.get(id);
    if (existing?.isWhole === true && (existing.since ?? notBefore) >= notBefore) return existing;
    const read = this.#create(request, id);
    if (existing !== undefined) this.#unshare(id, existing);
    this.#shareable.set(id, read);
    return read;
  }

  /** @param id - of one that can be shared. */
  #create({ source, key, narrowing }: SnapshotReadRequest, id: string | undefined): SharedRead {
    const { timeoutMs, lagMs } = this.#settings;
    const turns = this.#turnsOf(source);
    const party = `${source.name}\0${key.tenant}`;
    this.#requireRoom(turns.waitingOf(party));
    const read: SharedRead = new SharedRead(
      async (signal) => {
        // It is as of now: those that ask within a moment can have it.
        if (id !== undefined) this.#unshareLater(id, read);
        const snapshot = await source.snapshot?.(key, narrowing, signal);
        if (snapshot === undefined) throw new Error(`The source "${source.name}" has no snapshots.`);
        return snapshot;
      },
      { windowBytes: this.#windowBytes, timeoutMs, lagMs },
      {
        weighed: () => this.#weigh(held),
        done: () => {
          if (id !== undefined && !read.isWhole) this.#unshare(id, read);
          turns.end(party, held);
          held.isRunning = false;
          this.#weigh(held);
          this.#beginNext(source);
        },
      },
      id !== undefined,
    );
    const held: Held = { source, party, read, isRunning: false, bytes: 0 };
    turns.wait(party, held);
    return read;
  }

  #requireRoom(waiting: number): void {
    if (waiting < this.#settings.maxWaiting) return;
    throw new RealtimeError(
      "source_unavailable",
      `${String(waiting)} snapshots of this tenant wait for their turn: try again later, or raise snapshots.maxWaiting.`,
      { retryAfterSeconds: 5 },
    );
  }

  #turnsOf(source: ChangeSource): Turns<Held> {
    let turns = this.#turns.get(source);
    if (turns === undefined) {
      const maxRunning = this.#settings.maxConcurrent;
      turns = new Turns({ maxRunning, maxRunningOfParty: Math.ceil(maxRunning / 2) });
      this.#turns.set(source, turns);
    }
    return turns;
  }

  #unshareLater(id: string, read: SharedRead): void {
    const { shareMs } = this.#settings;
    if (shareMs === 0) this.#unshare(id, read);
    else setTimeout(() => this.#unshare(id, read), shareMs).unref();
  }

  #unshare(id: string, read: SharedRead): void {
    if (this.#shareable.get(id) === read) this.#shareable.delete(id);
    read.closeToOthers();
  }

  #beginNext(source: ChangeSource): void {
    const turns = this.#turnsOf(source);
    for (;;) {
      const next = turns.next((party) => this.#shares.hasRoom(party, this.#windowBytes));
      if (next === undefined) break;
      next.isRunning = true;
      this.#weigh(next);
      next.read.begin();
    }
    this.#watchStalls();
  }

  /** What it counts for has changed. */
  #weigh(held: Held): void {
    const { read, isRunning, party } = held;
    const bytes = isRunning ? Math.max(read.bytes, this.#windowBytes) : read.bytes;
    const more = bytes - held.bytes;
    if (more === 0) return;
    held.bytes = bytes;
    this.#shares.add(party, more);
    if (bytes > 0) this.#held.add(held);
    else this.#held.delete(held);
    if (more < 0) for (const source of this.#turns.keys()) this.#beginNext(source);
  }

  /** While somebody waits, the time of those runs who take nothing. */
  #watchStalls(): void {
    if ([...this.#turns.values()].some(({ waiting }) => waiting > 0)) {
      this.#stallTimer ??= setTimeout(() => this.#relieve(), this.#settings.stallMs / 2).unref();
    } else {
      clearTimeout(this.#stallTimer);
      this.#stallTimer = undefined;
    }
  }

  /** Of the reads that nobody takes anything of, and that others wait for, one of the tenant that holds most gives way. */
  #relieve(): void {
    this.#stallTimer = undefined;
    const isInTheWay = this.#whoIsInTheWay();
    const stalled = [...this.#held].filter(
      (held) => held.read.stalledMs >= this.#settings.stallMs && isInTheWay(held),
    );
    const [most] = stalled.toSorted(
      (one, other) => this.#shares.of(other.party) - this.#shares.of(one.party),
    );
    most?.read.giveWay();
    this.#watchStalls();
  }

  /** @returns who has a turn that somebody waits for; or, where there is a turn but no room, who takes some. */
  #whoIsInTheWay(): (held: Held) => boolean {
    const all = [...this.#turns.values()];
    const isOverShare = (party: string): boolean => this.#shares.isOverShare(party, this.#windowBytes);
    const hasRoom = (party: string): boolean => this.#shares.hasRoom(party, this.#windowBytes);
    const isTurnMissed = all.some((turns) => turns.isHeldUp(isOverShare));
    const isRoomMissed = all.some((turns) => turns.isOneFree && turns.isHeldUp(hasRoom));
    return ({ source, party, isRunning }) =>
      isRunning ? isTurnMissed || this.#turnsOf(source).waitingOf(party) > 0 : isRoomMissed;
  }
}
