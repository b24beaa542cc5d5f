import type { Position } from "@paperdb/protocol";
import type { Snapshot, SnapshotSeam } from "../source/change-source.ts";
import { SnapshotOverrunError, SnapshotTimeoutError } from "./snapshot-reading.ts";
import type { SnapshotBatch, SnapshotReading } from "./snapshot-reading.ts";

/** The bounds of one {@link SharedRead}. */
export interface SharedReadLimits {
  /** Read ahead of the slowest reader. */
  readonly windowBytes: number;
  readonly timeoutMs: number;
  readonly lagMs: number;
}

/** What a {@link SharedRead} tells its owner. */
export interface SharedReadEvents {
  /** Bytes that it holds, more or less. */
  buffered(bytes: number): void;
  /** The source is not needed for it any more. */
  done(): void;
}

interface Stored {
  readonly batch: SnapshotBatch;
  readonly bytes: number;
}

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
  #snapshot: Promise<Snapshot> | undefined;
  #seam: { readonly taken: Promise<SnapshotSeam>; readonly order: number } | undefined;
  /** Counts joins and seams. */
  #order = 0;
  #window: Stored[] = [];
  #windowBytes = 0;
  /** The number of the window's first batch. */
  #first = 0;
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
  ) {
    this.#isOpen = isOpen;
    this.#take = take;
    this.#limits = limits;
    this.#events = events;
  }

  /** Whether one who joins misses nothing. */
  get isWhole(): boolean {
    return this.#isOpen && this.#first === 0 && !this.#aborting.signal.aborted;
  }

  /** See `Snapshot.since`; undefined until it was taken. */
  get since(): Position | undefined {
    return this.#since;
  }

  /** Takes the snapshot, and begins to read. */
  begin(): void {
    if (this.#snapshot !== undefined || this.#aborting.signal.aborted) return;
    const snapshot = this.#take(this.#aborting.signal);
    this.#snapshot = snapshot;
    this.#timer = setTimeout(() => {
      this.#fail(new SnapshotTimeoutError("The snapshot took too long."));
    }, this.#limits.timeoutMs);
    this.#read(snapshot).catch((error: unknown) => this.#fail(error));
    for (const reader of this.#readers) reader.begun(snapshot);
  }

  /** @returns a reader from the first batch on. */
  join(): Reader {
    this.#order += 1;
    const joined = this.#order;
    const reader = new Reader({
      batchAt: (number) => this.#batchAt(number),
      moved: () => this.#moved(),
      seam: () => this.#takeSeam(joined),
      left: (left) => this.#left(left),
    });
    this.#readers.add(reader);
    if (this.#snapshot !== undefined) reader.begun(this.#snapshot);
    return reader;
  }

  /** Nobody joins any more. */
  closeToOthers(): void {
    this.#isOpen = false;
    if (this.#readers.size > 0) this.#moved();
    else this.#fail(new Error("Nobody reads the snapshot any more."));
  }

  async #read(taken: Promise<Snapshot>): Promise<void> {
    const { batches, since } = await taken;
    this.#since = since;
    for await (const batch of batches) {
      const bytes = batch.reduce((sum, { document }) => sum + document.length, 0);
      this.#window.push({ batch, bytes });
      this.#buffer(bytes);
      for (const reader of this.#readers) reader.wake();
      while (this.#windowBytes >= this.#limits.windowBytes && !this.#aborting.signal.aborted) {
        await this.#room();
      }
    }
    this.#isComplete = true;
    for (const reader of this.#readers) reader.wake();
    this.#done();
  }

  async #room(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onRoom = resolve;
      this.#watchLag();
    });
  }

  /** The batch of a number, or that it is not read yet, or that there is none. */
  #batchAt(number: number): SnapshotBatch | "pending" | "none" {
    const stored = this.#window[number - this.#first];
    if (stored !== undefined) return stored.batch;
    return this.#isComplete ? "none" : "pending";
  }

  /** A reader has taken a batch, or has left. */
  #moved(): void {
    const needed = Math.min(...[...this.#readers].map(({ number }) => number));
    while (this.#first < needed && this.#window.length > 0 && !this.#canKeep) {
      this.#buffer(-(this.#window.shift()?.bytes ?? 0));
      this.#first += 1;
    }
    if (this.#windowBytes < this.#limits.windowBytes) {
      clearTimeout(this.#lagTimer);
      this.#lagTimer = undefined;
      this.#onRoom();
    } else this.#watchLag();
  }

  get #canKeep(): boolean {
    return this.#isOpen && this.#windowBytes < this.#limits.windowBytes;
  }

  /** While somebody waits for what cannot be read for the sake of others, their time runs. */
  #watchLag(): void {
    const head = this.#first + this.#window.length;
    const isWaited = [...this.#readers].some(({ number }) => number === head);
    if (!isWaited || this.#lagTimer !== undefined || this.#windowBytes < this.#limits.windowBytes) return;
    this.#lagTimer = setTimeout(() => {
      this.#lagTimer = undefined;
      const laggards = [...this.#readers].filter(({ number }) => number === this.#first);
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
    if (this.#readers.size > 0) this.#moved();
    else if (!this.#isOpen || !this.#isComplete) this.#fail(new Error("Nobody reads the snapshot any more."));
  }

  #fail(reason: unknown): void {
    if (this.#aborting.signal.aborted) return;
    this.#aborting.abort(reason);
    for (const reader of this.#readers) reader.end(reason);
    this.#buffer(-this.#windowBytes);
    this.#window = [];
    clearTimeout(this.#timer);
    clearTimeout(this.#lagTimer);
    this.#onRoom();
    this.#done();
  }

  #buffer(bytes: number): void {
    this.#windowBytes += bytes;
    this.#events.buffered(bytes);
  }

  #done(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#events.done();
  }
}

/** What a {@link Reader} asks of the read that it shares. */
interface ReaderHost {
  batchAt(number: number): SnapshotBatch | "pending" | "none";
  moved(): void;
  seam(): Promise<SnapshotSeam>;
  left(reader: Reader): void;
}

/** One reader's place in a {@link SharedRead}. */
export class Reader implements SnapshotReading {
  /** Of the next batch to take. */
  number = 0;
  /** Resolves once the snapshot was taken. */
  readonly taken: Promise<void>;
  readonly #host: ReaderHost;
  readonly #ending = new AbortController();
  #since: Position = "";
  #onTaken: { readonly resolve: () => void; readonly reject: (reason: unknown) => void } | undefined;
  #wake: () => void = () => undefined;

  constructor(host: ReaderHost) {
    this.#host = host;
    this.taken = new Promise((resolve, reject) => {
      this.#onTaken = { resolve, reject };
    });
    this.taken.catch(() => undefined);
  }

  get since(): Position {
    return this.#since;
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  begun(snapshot: Promise<Snapshot>): void {
    snapshot.then(
      ({ since }) => {
        this.#since = since;
        this.#onTaken?.resolve();
      },
      (error: unknown) => this.end(error),
    );
  }

  async next(): Promise<SnapshotBatch | undefined> {
    for (;;) {
      this.#ending.signal.throwIfAborted();
      const batch = this.#host.batchAt(this.number);
      if (batch === "none") return undefined;
      if (batch !== "pending") {
        this.number += 1;
        this.#host.moved();
        return batch;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async seam(): Promise<SnapshotSeam> {
    return this.#host.seam();
  }

  close(): void {
    this.end(new Error("The snapshot is not needed any more."));
  }

  wake(): void {
    this.#wake();
  }

  end(reason: unknown): void {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort(reason);
    this.#onTaken?.reject(reason);
    this.#wake();
    this.#host.left(this);
  }
}
