import { setTimeout as sleep } from "node:timers/promises";
import { RealtimeError } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChannelKey } from "../change-source.ts";
import type { Capturer } from "./capturer.ts";
import type { Catalog } from "./catalog.ts";
import type { SourceDatabase } from "./database.ts";
import type { GrantedColumns } from "./granted-columns.ts";
import type { NotifySettings } from "./settings.ts";
import type { SourceStats } from "./stats.ts";
import { isSameHistory } from "./table.ts";
import type { CapturedTable } from "./table.ts";
import { keysOf } from "./watches.ts";
import type { WatchedCollection, Watches } from "./watches.ts";

/** What a {@link CatalogFollower} works with. */
export interface CatalogFollowerOptions {
  readonly database: SourceDatabase;
  readonly catalog: Catalog;
  readonly capturer: Capturer;
  readonly grantedColumns: GrantedColumns;
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
/** But one that was slow for another reason, such as a busy machine, does not blind us for long. */
const MAX_POLL_REST_MS = 5_000;
const QUICK_POLL_MS = 100;
/** So that a table that is locked does not hold up the news of others. */
const REPAIR_TIMEOUT_MS = 2_000;

/** Notices when tables change, and keeps those that are watched captured. */
export class CatalogFollower {
  readonly #options: CatalogFollowerOptions;
  /** Collections whose subscribers are to be reset once their changes are captured again. */
  readonly #toReset = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #lastSweepAtMs = 0;
  #closed = false;

  constructor(options: CatalogFollowerOptions) {
    this.#options = options;
  }

  /** Begins to poll. */
  follow(): void {
    this.#pollLater(this.#options.settings.catalogPollIntervalMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#polling;
  }

  /** After an outage: reads and captures until it has worked, or another outage has come. */
  async recapture(stale: () => boolean): Promise<void> {
    this.#options.capturer.forgetAll();
    while (!stale()) {
      try {
        await this.#reconcile("source_reconnected", false);
        return;
      } catch (error) {
        this.#options.log.warn({ reason: String(error) }, "Cannot capture changes yet, will retry");
        await sleep(this.#options.settings.catalogPollIntervalMs);
      }
    }
  }

  #pollLater(waitMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll();
    }, waitMs);
    this.#timer.unref();
  }

  async #poll(): Promise<void> {
    const startedAtMs = Date.now();
    try {
      if (this.#options.isLive()) {
        await this.#reconcile("collection_changed", true);
        await this.#housekeep();
      }
    } catch (error) {
      if (!this.#closed) {
        this.#options.log.warn({ reason: String(error) }, "Cannot follow the catalog, will retry");
      }
    }
    const tookMs = Date.now() - startedAtMs;
    const restMs = tookMs < QUICK_POLL_MS ? 0 : Math.min(tookMs * POLL_REST_FACTOR, MAX_POLL_REST_MS);
    this.#pollLater(Math.max(this.#options.settings.catalogPollIntervalMs, restMs));
  }

  /** Compares what is watched with what there is, and puts right what differs. */
  async #reconcile(reason: string, tell: boolean): Promise<void> {
    const collections = await this.#options.catalog.refresh();
    this.#options.capturer.forgetChanged(collections);
    const changed = await this.#options.grantedColumns.fetchChanged();
    for (const { name, table } of this.#options.watches.collections()) {
      if (changed.has(table.oid)) this.#toReset.add(name);
    }
    for (const watched of this.#options.watches.collections()) {
      const table = collections.tables.get(watched.name);
      if (table === undefined || !isNamedAs(table, watched.table)) this.#drop(watched);
      else if (this.#needsRepair(watched, table)) await this.#repair(watched, table, reason, tell);
    }
  }

  #needsRepair(watched: WatchedCollection, table: CapturedTable): boolean {
    if (this.#toReset.has(watched.name) || !isSameHistory(table, watched.table)) return true;
    return !this.#options.capturer.isCaptured(table);
  }

  async #repair(
    watched: WatchedCollection,
    table: CapturedTable,
    reason: string,
    tell: boolean,
  ): Promise<void> {
    // Kept until it has worked: the next poll may find the triggers in place, put there by a watch.
    this.#toReset.add(watched.name);
    // Before the installation, whose announcement is about this table.
    watched.table = table;
    let announced: boolean;
    try {
      announced = await this.#options.capturer.repair(table, REPAIR_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof RealtimeError) && !this.#options.isLive()) throw error;
      const fields = { collection: watched.name, reason: String(error) };
      this.#options.log.warn(fields, "Cannot capture the changes of a collection");
      // Subscribers must not wait for changes that nothing captures: who comes back is told why.
      this.#drop(watched);
      return;
    }
    this.#toReset.delete(watched.name);
    if (tell && !announced) this.#options.lost(keysOf(watched), reason);
  }

  #drop(watched: WatchedCollection): void {
    this.#toReset.delete(watched.name);
    this.#options.capturer.forget(watched.name);
    this.#options.dropped(watched);
  }

  async #housekeep(): Promise<void> {
    const { database, settings, stats } = this.#options;
    await database.followOwners();
    stats.queueUsage = await database.fetchQueueUsage();
    if (Date.now() - this.#lastSweepAtMs < settings.outboxRetentionMs / 5) return;
    this.#lastSweepAtMs = Date.now();
    await database.sweep(settings.outboxRetentionMs);
  }
}

/** A collection's name can come to stand for another table only by way of none. */
function isNamedAs(left: CapturedTable, right: CapturedTable): boolean {
  return left.name.schema === right.name.schema && left.name.table === right.name.table;
}
