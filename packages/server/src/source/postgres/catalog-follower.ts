import { setTimeout as sleep } from "node:timers/promises";
import { RealtimeError } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChannelKey } from "../change-source.ts";
import type { Capturer } from "./capturer.ts";
import type { Catalog } from "./catalog.ts";
import { CatalogPoll } from "./catalog-poll.ts";
import type { SourceDatabase } from "./database.ts";
import type { GrantedColumns } from "./granted-columns.ts";
import type { NotifySettings } from "./settings.ts";
import type { SourceStats } from "./stats.ts";
import { isNamedAs, isSameHistory } from "./table.ts";
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

/** So that a table that is locked does not hold up the news of others. */
const REPAIR_TIMEOUT_MS = 2_000;

/** Notices when tables change, and keeps those that are watched captured. */
export class CatalogFollower {
  readonly #options: CatalogFollowerOptions;
  readonly #poll: CatalogPoll;
  /** Collections whose subscribers are to be reset once their changes are captured again. */
  readonly #toReset = new Set<string>();
  /** The revisions of the catalog at which these were looked at last. */
  #columnsAt: string | undefined;
  #ownersAt: string | undefined;
  #lastQueueCheckAtMs = Number.NEGATIVE_INFINITY;
  #lastSweepAtMs = 0;

  constructor(options: CatalogFollowerOptions) {
    this.#options = options;
    this.#poll = new CatalogPoll({
      intervalMs: options.settings.catalogPollIntervalMs,
      look: () => this.#look(),
      failed: (error) => {
        options.log.warn({ reason: String(error) }, "Cannot follow the catalog, will retry");
      },
    });
  }

  /** Begins to poll. */
  follow(): void {
    this.#poll.start();
  }

  async close(): Promise<void> {
    await this.#poll.close();
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

  async #look(): Promise<void> {
    if (!this.#options.isLive()) return;
    await this.#reconcile("collection_changed", true);
    await this.#housekeep();
  }

  /** Compares what is watched with what there is, and puts right what differs. */
  async #reconcile(reason: string, tell: boolean): Promise<void> {
    const { capturer, catalog, watches } = this.#options;
    capturer.forgetChanged(await catalog.refresh());
    await this.#noticeGrantedColumns();
    for (const watched of watches.collections()) {
      // Always the newest reading: what was watched since an older one looks as if it were not captured in that.
      const table = catalog.current.tables.get(watched.name);
      if (table === undefined || !isNamedAs(table, watched.table)) this.#drop(watched);
      else if (this.#needsRepair(watched, table)) await this.#repair(watched, table, reason, tell);
    }
  }

  /** Whoever is granted rows by a column that is gone is reset. */
  async #noticeGrantedColumns(): Promise<void> {
    const { catalog, grantedColumns, watches } = this.#options;
    const { revision } = catalog;
    if (this.#columnsAt === revision) return;
    const changed = await grantedColumns.fetchChanged();
    for (const { name, table } of watches.collections()) {
      if (changed.has(table.oid)) this.#toReset.add(name);
    }
    this.#columnsAt = revision;
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
    const { catalog, database, settings, stats } = this.#options;
    const { revision } = catalog;
    if (this.#ownersAt !== revision) await database.followOwners();
    this.#ownersAt = revision;
    if (performance.now() - this.#lastQueueCheckAtMs >= settings.queueCheckIntervalMs) {
      stats.queueUsage = await database.fetchQueueUsage();
      this.#lastQueueCheckAtMs = performance.now();
    }
    if (Date.now() - this.#lastSweepAtMs < settings.outboxRetentionMs / 5) return;
    this.#lastSweepAtMs = Date.now();
    await database.sweep(settings.outboxRetentionMs);
  }
}
