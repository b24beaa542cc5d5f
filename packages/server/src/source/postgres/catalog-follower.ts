import { RealtimeError } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChannelKey } from "../change-source.ts";
import type { Collections, CollectionsConfig } from "./collections.ts";
import { columnsOfInterest, toCollections } from "./collections.ts";
import type { SourceDatabase } from "./database.ts";
import { isCaptured, isCapturedWithin } from "./installed.ts";
import { TriggerInstaller } from "./installer.ts";
import type { NotifySettings } from "./settings.ts";
import type { SourceStats } from "./stats.ts";
import type { CapturedTable } from "./table.ts";
import { keysOf } from "./watches.ts";
import type { WatchedCollection, Watches } from "./watches.ts";

/** What a {@link CatalogFollower} works with. */
export interface CatalogFollowerOptions {
  readonly database: SourceDatabase;
  readonly config: CollectionsConfig | undefined;
  readonly watches: Watches;
  readonly settings: NotifySettings;
  readonly stats: SourceStats;
  readonly log: Logger;
  readonly isLive: () => boolean;
  /** Changes of these channels may have been missed, and are captured again. */
  readonly lost: (keys: readonly ChannelKey[], reason: string) => void;
  /** A collection that was watched is none any more. */
  readonly dropped: (collection: WatchedCollection) => void;
}

/** A poll waits this many times as long as the last one took: a large catalog is asked less often. */
const POLL_REST_FACTOR = 10;
/** So that a table that is locked does not hold up the news of others. */
const REPAIR_TIMEOUT_MS = 2_000;

/** Knows the database's collections, notices when they change, and keeps those that are watched captured. */
export class CatalogFollower {
  readonly #options: CatalogFollowerOptions;
  readonly #columns: readonly string[];
  readonly #installer: TriggerInstaller;
  /** The tables whose triggers were found or put in place, by collection: what is captured now. */
  readonly #captured = new Map<string, CapturedTable>();
  /** Collections whose subscribers are to be reset once their changes are captured again. */
  readonly #toReset = new Set<string>();
  readonly #capturing = new Map<string, Promise<CapturedTable>>();
  #current: Collections = { tables: new Map(), unusable: new Map() };
  #reading: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #lastSweepAtMs = 0;
  #closed = false;

  constructor(options: CatalogFollowerOptions) {
    this.#options = options;
    this.#installer = new TriggerInstaller(options.database, options.settings, options.log);
    this.#columns = columnsOfInterest(options.config);
  }

  /** The collections as last read. */
  get current(): Collections {
    return this.#current;
  }

  /** Reads the catalog for the first time; a configured collection that is none is an error. */
  async open(): Promise<void> {
    const { unusable } = await this.refresh();
    const [problem] = unusable.values();
    if (this.#options.config !== undefined && problem !== undefined) {
      throw new RealtimeError("collection_not_usable", problem);
    }
  }

  /** Begins to poll. */
  follow(): void {
    this.#pollLater(this.#options.settings.catalogPollIntervalMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#polling;
    await Promise.allSettled([this.#reading, ...this.#capturing.values()]);
  }

  /** Reads the catalog now; what a client asks about may be younger than the last poll. */
  async refresh(): Promise<Collections> {
    const read = this.#reading.then(
      () => this.#read(),
      () => this.#read(),
    );
    this.#reading = read.catch(() => undefined);
    return read;
  }

  /**
   * Sees to it that all changes of a collection are captured from now on.
   *
   * @throws {RealtimeError} `collection_not_found`, `collection_not_usable`, `source_unavailable`.
   */
  async capture(collection: string): Promise<CapturedTable> {
    const captured = this.#captured.get(collection);
    if (captured !== undefined) return captured;
    let capturing = this.#capturing.get(collection);
    if (capturing === undefined) {
      capturing = this.#capture(collection).finally(() => {
        this.#capturing.delete(collection);
      });
      this.#capturing.set(collection, capturing);
    }
    return capturing;
  }

  /** After an outage: reads and captures until it has worked. */
  async recapture(stale: () => boolean): Promise<void> {
    while (!stale()) {
      try {
        this.#captured.clear();
        await this.#reconcile("source_reconnected", false);
        return;
      } catch (error) {
        this.#options.log.warn({ reason: String(error) }, "Cannot capture changes yet, will retry");
        await new Promise((resolve) => {
          setTimeout(resolve, this.#options.settings.catalogPollIntervalMs);
        });
      }
    }
  }

  async #read(): Promise<Collections> {
    const tables = await this.#options.database.fetchTables(this.#columns);
    this.#current = toCollections(tables, this.#options.config);
    return this.#current;
  }

  async #capture(collection: string): Promise<CapturedTable> {
    let table = (await this.refresh()).tables.get(collection);
    if (table === undefined) {
      throw new RealtimeError("collection_not_found", `There is no collection "${collection}".`);
    }
    if (!isCapturedWithin(table, this.#options.settings, this.#options.database.encoding)) {
      await this.#installer.install(table);
      table = (await this.refresh()).tables.get(collection);
      if (table === undefined || !isCaptured(table)) {
        throw new RealtimeError(
          "source_unavailable",
          `The collection "${collection}" just changed: try again.`,
          { retryAfterSeconds: 1 },
        );
      }
    }
    this.#captured.set(collection, table);
    return table;
  }

  #pollLater(waitMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll();
    }, waitMs);
    this.#timer.unref();
  }

  async #poll(): Promise<void> {
    const { catalogPollIntervalMs } = this.#options.settings;
    const startedAtMs = Date.now();
    try {
      if (this.#options.isLive()) {
        await this.#reconcile("collection_changed", true);
        await this.#housekeep();
      }
    } catch (error) {
      this.#options.log.warn({ reason: String(error) }, "Cannot follow the catalog, will retry");
    }
    const tookMs = Date.now() - startedAtMs;
    this.#pollLater(Math.max(catalogPollIntervalMs, tookMs < 100 ? 0 : tookMs * POLL_REST_FACTOR));
  }

  /** Compares what is watched with what there is, and puts right what differs. */
  async #reconcile(reason: string, tell: boolean): Promise<void> {
    const { tables } = await this.refresh();
    for (const watched of this.#options.watches.collections()) {
      const table = tables.get(watched.name);
      if (table === undefined || !isNamedAs(table, watched.table)) {
        this.#captured.delete(watched.name);
        this.#toReset.delete(watched.name);
        this.#options.dropped(watched);
      } else {
        await this.#repairOrDrop(watched, table, reason, tell);
      }
    }
    this.#forgetUncaptured(tables);
  }

  /** Subscribers must not wait for changes that nothing captures: who comes back is told why. */
  async #repairOrDrop(
    watched: WatchedCollection,
    table: CapturedTable,
    reason: string,
    tell: boolean,
  ): Promise<void> {
    try {
      await this.#repair(watched, table, reason, tell);
    } catch (error) {
      if (!(error instanceof RealtimeError) && !this.#options.isLive()) throw error;
      this.#options.log.warn(
        { collection: watched.name, reason: String(error) },
        "Cannot capture the changes of a collection",
      );
      this.#toReset.delete(watched.name);
      this.#options.dropped(watched);
    }
  }

  async #repair(
    watched: WatchedCollection,
    table: CapturedTable,
    reason: string,
    tell: boolean,
  ): Promise<void> {
    const captured = isCaptured(table);
    if (captured && isSame(table, watched.table) && !this.#toReset.has(watched.name)) return;
    // Kept until it has worked: the next poll may find the triggers in place, put there by another watch.
    this.#toReset.add(watched.name);
    this.#captured.delete(watched.name);
    if (!captured) await this.#installer.install(table, REPAIR_TIMEOUT_MS);
    this.#toReset.delete(watched.name);
    watched.table = table;
    if (tell) this.#options.lost(keysOf(watched), reason);
  }

  /** What is not captured as it was is looked at again when somebody watches it. */
  #forgetUncaptured(tables: ReadonlyMap<string, CapturedTable>): void {
    for (const [collection, captured] of this.#captured) {
      const table = tables.get(collection);
      if (table === undefined || !isCaptured(table) || !isSame(table, captured)) {
        this.#captured.delete(collection);
      }
    }
  }

  async #housekeep(): Promise<void> {
    const { database, settings, stats } = this.#options;
    stats.queueUsage = await database.fetchQueueUsage();
    if (Date.now() - this.#lastSweepAtMs < settings.outboxRetentionMs / 5) return;
    this.#lastSweepAtMs = Date.now();
    await database.sweepOutbox(settings.outboxRetentionMs);
  }
}

/** Whether changes of before and of now belong to one history. */
function isSame(left: CapturedTable, right: CapturedTable): boolean {
  return (
    left.shape === right.shape &&
    left.partitions.join() === right.partitions.join() &&
    left.virtualColumns.join() === right.virtualColumns.join()
  );
}

/** A collection's name can come to stand for another table only by way of none. */
function isNamedAs(left: CapturedTable, right: CapturedTable): boolean {
  return left.name.schema === right.name.schema && left.name.table === right.name.table;
}
