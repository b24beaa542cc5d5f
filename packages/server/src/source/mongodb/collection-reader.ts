import type { Db } from "mongodb";
import type { Logger } from "pino";
import { Arrivals } from "./arrivals.ts";
import type { MongoCollection } from "./collections.ts";
import { reasonOf } from "./errors.ts";
import type { EventBuffer } from "./event-buffer.ts";
import type { FilterNeeds } from "./filter-needs.ts";
import type { Reading } from "./members.ts";
import type { ServerFeatures } from "./pipeline.ts";
import type { ClusterTime } from "./position.ts";
import type { ServerClock } from "./replica-set.ts";
import type { MongoSettings } from "./settings.ts";
import type { MongoStats } from "./stats.ts";
import { StreamReader, type Read } from "./stream-reader.ts";

/** What a {@link CollectionReader} works with. */
export interface CollectionReaderOptions {
  readonly db: Db;
  readonly clock: ServerClock;
  readonly features: ServerFeatures;
  readonly buffer: EventBuffer;
  /** Shared with those who need it. */
  readonly needs: FilterNeeds;
  readonly settings: MongoSettings;
  readonly stats: MongoStats;
  readonly log: Logger;
}

/** The change stream of a collection that is read at the moment, and how far it and those before it have read. */
export class CollectionReader {
  readonly #collection: MongoCollection;
  readonly #options: CollectionReaderOptions;
  readonly #arrivals = new Arrivals();
  #current: StreamReader | undefined;
  /** Of the streams before the current one. */
  #readTo: ClusterTime | undefined;
  #completeTo: ClusterTime | undefined;
  #closed = false;

  constructor(collection: MongoCollection, options: CollectionReaderOptions) {
    this.#collection = collection;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#current !== undefined;
  }

  /** Where the next stream has to begin; undefined before the first one. */
  get readTo(): ClusterTime | undefined {
    return this.#current?.readTo ?? this.#readTo;
  }

  /** Up to which all was read, by then. */
  get completeTo(): ClusterTime | undefined {
    return this.#current?.completeTo ?? this.#completeTo;
  }

  /** Resolves once a stream with these tenants is open; only then the one before it ends. */
  async switchTo(tenants: ReadonlySet<string>, from: ClusterTime, images: boolean): Promise<void> {
    const { db, clock, features, needs, settings, stats } = this.#options;
    const collection = this.#collection;
    stats.opens += 1;
    const { maxAwaitTimeMs } = settings;
    const withHidden = needs.hidden;
    const request = { db, clock, collection, tenants, features, images, withHidden, from };
    const reader = await StreamReader.open({ ...request, maxAwaitTimeMs, settings });
    if (this.#closed) {
      await reader.close();
      throw new Error("The stream was closed.");
    }
    const before = this.#current;
    this.#current = reader;
    if (before !== undefined) this.#end(before);
  }

  /**
   * Reads the stream for as long as it is the current one, no faster than the log takes it.
   *
   * @throws what the stream fails with; nothing when it is not the current one any more.
   */
  async read(take: (read: Read, reading: Reading) => void): Promise<void> {
    const reader = this.#current;
    if (reader === undefined) return;
    try {
      while (reader === this.#current) {
        const pressure = this.#options.buffer.pressure();
        if (pressure !== undefined) await pressure;
        const read = await this.#arrivals.next(reader);
        if (reader === this.#current) take(read, reader);
      }
    } catch (error) {
      if (reader === this.#current) throw error;
    }
  }

  /** Resolves once all events up to this time were read. */
  async reached(time: ClusterTime, signal: AbortSignal): Promise<void> {
    if (this.#current?.hasRead(time) !== true) await this.#arrivals.reached(time, signal);
  }

  /** There is no current stream any more; the next one begins where it has read to. */
  drop(): void {
    const before = this.#current;
    if (before === undefined) return;
    this.#readTo = before.readTo;
    this.#completeTo = before.completeTo;
    this.#current = undefined;
    this.#end(before);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const reader = this.#current;
    this.#current = undefined;
    await reader?.close();
  }

  #end(reader: StreamReader): void {
    reader.close().catch((error: unknown) => {
      this.#options.log.debug({ reason: reasonOf(error) }, "A change stream did not close");
    });
  }
}
