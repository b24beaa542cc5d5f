import type { Position } from "@paperdb/protocol";
import type { Snapshot, SnapshotSeam } from "../source/change-source.ts";
import { Reader } from "./reader.ts";
import { SnapshotGivenUpError, SnapshotOverrunError, SnapshotTimeoutError } from "./snapshot-reading.ts";
import type { SnapshotBatch } from "./snapshot-reading.ts";
import { Window } from "./window.ts";

/** The bounds of one {@link SharedRead}. */
export interface SharedReadLimits {
  /** Read ahead of the slowest reader. */
  readonly windowBytes: number;
  readonly timeoutMs: number;
  readonly lagMs: number;
}

/** What a {@link SharedRead} tells its owner. */
export interface SharedReadEvents {
  /** It holds more or less than before. */
  weighed(): void;
  /** The source does nothing for it any more. */
  done(): void;
}

/** A source that does not end a reading that was given up is not waited for any longer. */
const GIVING_UP_MS = 5_000;

/**
 * One snapshot for several readers, each at its own pace within a window. A batch that all have taken is let go, as long
 * as others may join only when there is no room for it. One that holds up the others has to leave them.
 */
export class SharedRead {
  readonly #take: (signal: AbortSignal) => Promise<Snapshot>;
  readonly #limits: SharedReadLimits;
  readonly #events: SharedReadEvents;
  readonly #aborting = new AbortController();
  readonly #readers = new Set<Reader>();
  readonly #window = new Window();
  readonly #now: () => number;
  #snapshot: Promise<Snapshot> | undefined;
  #seam: { readonly taken: Promise<SnapshotSeam>; readonly order: number } | undefined;
  /** Counts joins and seams. */
  #order = 0;
  #movedAtMs = 0;
  #isComplete = false;
  #isDone = false;
  #isOpen: boolean;
  #since: Position | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lagTimer: NodeJS.Timeout | undefined;
  #onRoom: () => void = () => undefined;

  /** @param isOpen - whether others may join, until {@link closeToOthers}. */
  constructor(
    take: (signal: AbortSignal) => Promise<Snapshot>,
    limits: SharedReadLimits,
    events: SharedReadEvents,
    isOpen: boolean,
    now: () => number = () => performance.now(),
  ) {
    this.#now = now;
    this.#isOpen = isOpen;
    this.#take = take;
    this.#limits = limits;
    this.#events = events;
  }

  /** Whether one who joins misses nothing. */
  get isWhole(): boolean {
    return this.#isOpen && this.#window.first === 0 && !this.#aborting.signal.aborted;
  }

  /** See `Snapshot.since`; undefined until it was taken. */
  get since(): Position | undefined {
    return this.#since;
  }

  /** Bytes that it holds, more or less. */
  get bytes(): number {
    return this.#window.bytes;
  }

  /** For how long it has held what it could, and nobody took any of it. */
  get stalledMs(): number {
    const waits = this.#isComplete || this.#isFull;
    return waits && this.bytes > 0 ? this.#now() - this.#movedAtMs : 0;
  }

  /** Takes the snapshot, and begins to read. */
  begin(): void {
    if (this.#snapshot !== undefined || this.#aborting.signal.aborted) return;
    const snapshot = this.#take(this.#aborting.signal);
    this.#snapshot = snapshot;
    this.#timer = setTimeout(() => {
      this.#fail(new SnapshotTimeoutError("The snapshot took too long."));
    }, this.#limits.timeoutMs);
    this.#read(snapshot)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => this.#done());
    for (const reader of this.#readers) reader.begun(snapshot);
  }

  /** @returns a reader from the first batch on. */
  join(): Reader {
    this.#order += 1;
    const joined = this.#order;
    const reader = new Reader({
      batchAt: (number) => this.#batchAt(number),
      moved: ({ number }) => {
        this.#window.leave(number - 1);
        this.#window.enter(number);
        this.#movedAtMs = this.#now();
        this.#trim();
      },
      seam: () => this.#takeSeam(joined),
      left: (left) => this.#left(left),
    });
    this.#readers.add(reader);
    this.#window.enter(reader.number);
    if (this.#snapshot !== undefined) reader.begun(this.#snapshot);
    return reader;
  }

  /** Nobody joins any more. */
  closeToOthers(): void {
    this.#isOpen = false;
    if (this.#readers.size > 0) this.#trim();
    else this.#fail(new Error("Nobody reads the snapshot any more."));
  }

  /** Others wait for what it holds. */
  giveWay(): void {
    this.#fail(new SnapshotGivenUpError("Others wait for their snapshots."));
  }

  get #isFull(): boolean {
    return this.bytes >= this.#limits.windowBytes;
  }

  async #read(taken: Promise<Snapshot>): Promise<void> {
    const { batches, since } = await taken;
    this.#since = since;
    for await (const batch of batches) {
      this.#aborting.signal.throwIfAborted();
      this.#window.push(batch);
      this.#movedAtMs = this.#now();
      this.#events.weighed();
      for (const reader of this.#readers) reader.wake();
      while (this.#isFull && !this.#aborting.signal.aborted) await this.#room();
    }
    this.#isComplete = true;
    for (const reader of this.#readers) reader.wake();
  }

  async #room(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onRoom = resolve;
      this.#watchLag();
    });
  }

  /** The batch of a number, or that it is not read yet, or that there is none. */
  #batchAt(number: number): SnapshotBatch | "pending" | "none" {
    return this.#window.batchAt(number) ?? (this.#isComplete ? "none" : "pending");
  }

  /** A reader has taken a batch, or has left, or nobody joins any more. */
  #trim(): void {
    const { bytes } = this;
    while (this.#window.isFirstTaken && !(this.#isOpen && !this.#isFull)) this.#window.shift();
    if (this.bytes !== bytes) this.#events.weighed();
    if (this.#isFull) this.#watchLag();
    else {
      clearTimeout(this.#lagTimer);
      this.#lagTimer = undefined;
      this.#onRoom();
    }
  }

  /** While somebody waits for what cannot be read for the sake of others, their time runs. */
  #watchLag(): void {
    const isWaited = this.#window.readersAt(this.#window.head) > 0;
    if (!isWaited || this.#lagTimer !== undefined || !this.#isFull) return;
    this.#lagTimer = setTimeout(() => {
      this.#lagTimer = undefined;
      const laggards = [...this.#readers].filter(({ number }) => number === this.#window.first);
      for (const reader of laggards) reader.end(new SnapshotOverrunError("The others did not wait."));
    }, this.#limits.lagMs);
  }

  /** One that was taken after the reader joined: what had committed by then comes before it. */
  #takeSeam(joined: number): Promise<SnapshotSeam> {
    if (this.#seam === undefined || this.#seam.order < joined) {
      this.#order += 1;
      this.#seam = { taken: this.#takeNewSeam(), order: this.#order };
    }
    return this.#seam.taken;
  }

  async #takeNewSeam(): Promise<SnapshotSeam> {
    const snapshot = await this.#snapshot;
    if (snapshot === undefined) throw new Error("The snapshot was not taken.");
    return snapshot.seam();
  }

  #left(reader: Reader): void {
    this.#readers.delete(reader);
    this.#window.leave(reader.number);
    if (this.#readers.size > 0) this.#trim();
    else if (!this.#isOpen || !this.#isComplete) this.#fail(new Error("Nobody reads the snapshot any more."));
  }

  #fail(reason: unknown): void {
    if (this.#aborting.signal.aborted) return;
    this.#aborting.abort(reason);
    for (const reader of this.#readers) reader.end(reason);
    clearTimeout(this.#timer);
    clearTimeout(this.#lagTimer);
    this.#window.clear();
    this.#events.weighed();
    this.#onRoom();
    if (this.#snapshot === undefined) this.#done();
    else setTimeout(() => this.#done(), GIVING_UP_MS).unref();
  }

  #done(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#events.done();
  }
}
