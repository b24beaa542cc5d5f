import { RealtimeError } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { Catalog } from "../catalog.ts";
import { CatalogPoll } from "../catalog-poll.ts";
import type { GrantedColumns } from "../granted-columns.ts";
import { justChanged } from "../just-changed.ts";
import { isNamedAs } from "../table.ts";
import type { CapturedTable } from "../table.ts";
import type { Barriers } from "./barriers.ts";
import type { Enroller } from "./enroller.ts";
import type { Enrollment, PublicationContents } from "./publication-contents.ts";
import type { Publication } from "./publication.ts";
import type { WalSettings } from "./settings.ts";
import type { TypeCatalog } from "./type-catalog.ts";
import type { WalCapturer } from "./wal-capturer.ts";
import type { WalWatches, WatchedCollection } from "./wal-watches.ts";

/** What a {@link WalCatalogFollower} works with. */
export interface WalCatalogFollowerOptions {
  readonly catalog: Catalog;
  readonly grantedColumns: GrantedColumns;
  readonly publication: Publication;
  readonly enroller: Enroller;
  readonly capturer: WalCapturer;
  readonly barriers: Barriers;
  readonly types: TypeCatalog;
  readonly watches: WalWatches;
  readonly settings: WalSettings;
  readonly log: Logger;
  readonly isLive: () => boolean;
  /** The collection is put right, and is received anew. */
  readonly lost: (collection: WatchedCollection, reason: string) => Promise<void>;
  /** The collection is not received any more. */
  readonly released: (collection: string) => Promise<void>;
  /** A collection that was watched is none any more. */
  readonly dropped: (collection: string) => void;
}

/** So that a table that is locked does not hold up the news of others. */
const REPAIR_TIMEOUT_MS = 2_000;

/** Notices when tables change, and keeps those that are watched in the publication. What nobody watches is only let go. */
export class WalCatalogFollower {
  readonly #options: WalCatalogFollowerOptions;
  readonly #poll: CatalogPoll;
  #reconciling: Promise<unknown> = Promise.resolve();
  /** The revision of the catalog at which all that it does not have was read last. */
  #readAt: string | undefined;
  #enrollment: Enrollment = new Map();

  constructor(options: WalCatalogFollowerOptions) {
    this.#options = options;
    this.#poll = new CatalogPoll({
      intervalMs: options.settings.catalogPollIntervalMs,
      look: () => this.#look(),
      failed: (error) => {
        // Of a source that is not live it is known already.
        const level = options.isLive() ? "warn" : "debug";
        options.log[level]({ reason: String(error) }, "Cannot follow the catalog, will retry");
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

  /** Compares what is watched with what there is, and puts right what differs. One after the other. */
  async reconcile(): Promise<void> {
    const reconciled = this.#reconciling.then(() => this.#reconcile());
    this.#reconciling = reconciled.catch(() => undefined);
    return reconciled;
  }

  async #reconcile(): Promise<void> {
    const { catalog, capturer, watches } = this.#options;
    // Whatever is watched from now on may be younger than what is read.
    const received = watches.collections();
    const collections = await catalog.refresh();
    capturer.forgetMissing(collections);
    if (this.#readAt !== catalog.revision) await this.#readOn();
    const enrollment = this.#enrollment;
    for (const watched of received) {
      if (!watches.isCurrent(watched)) continue;
      const table = collections.tables.get(watched.name);
      if (table === undefined || !isNamedAs(table, watched.table)) await this.#drop(watched);
      else if (watched.goesOnWith(table, enrollment.get(table.oid)))
        watched.enrollment = enrollment.get(table.oid);
      else if (watched.isWatched) await this.#repair(watched, table, enrollment);
      else await this.#release(watched);
    }
  }

  /** Reads what the catalog does not have. */
  async #readOn(): Promise<void> {
    const { catalog, publication, types, watches } = this.#options;
    // Before all else is read: what is committed meanwhile makes it another one.
    const { revision } = catalog;
    let contents = await this.#withdrawUnwritable();
    if (!publication.isRight(contents.options)) {
      await publication.ensure();
      contents = await publication.fetchContents();
    }
    this.#enrollment = contents.enrollment;
    const changedTypes = await types.refresh();
    for (const watched of watches.collections()) {
      if (watched.hasType(changedTypes)) watched.isBroken = true;
    }
    await this.#noticeGrantedColumns();
    this.#readAt = revision;
  }

  /** Whoever is granted rows by a column that is gone is reset. Of what nobody watches, who comes back is told. */
  async #noticeGrantedColumns(): Promise<void> {
    const { grantedColumns, watches } = this.#options;
    const changed = await grantedColumns.fetchChanged();
    for (const watched of watches.collections()) {
      if (watched.isWatched && changed.has(watched.table.oid)) watched.isResetDue = true;
    }
  }

  async #look(): Promise<void> {
    if (this.#options.isLive()) await this.reconcile();
    else await this.#withdrawUnwritable();
  }

  /** The application's writes of such tables fail until then, whether the source is live or not. */
  async #withdrawUnwritable(): Promise<PublicationContents> {
    const { log, publication } = this.#options;
    const contents = await publication.fetchContents();
    const { unwritable } = contents;
    if (unwritable.length === 0) return contents;
    await publication.withdraw(unwritable);
    for (const table of unwritable) {
      log.warn({ table }, "A table has a virtual generated column now, so it is not streamed any more");
    }
    return publication.fetchContents();
  }

  async #repair(watched: WatchedCollection, table: CapturedTable, enrollment: Enrollment): Promise<void> {
    const { barriers, capturer, log, lost, watches } = this.#options;
    capturer.forget(watched.name);
    // Kept until it has worked.
    watched.isResetDue = true;
    watches.update(watched, table);
    try {
      const problem = await capturer.whyNotEncodable(table, watches.filteredColumns(watched.name));
      if (problem !== undefined) throw new RealtimeError("collection_not_usable", problem);
      watched.enrollment = await this.#enroll(watched, table, enrollment);
    } catch (error) {
      if (!(error instanceof RealtimeError)) throw error;
      log.warn({ collection: watched.name, reason: error.message }, "Cannot stream a collection");
      // Subscribers must not wait for changes that nobody streams: who comes back is told why.
      await this.#drop(watched);
      return;
    }
    // What was written before it was put right is still on its way.
    await barriers.pass();
    if (!watches.isCurrent(watched)) return;
    watched.isBroken = false;
    watched.isResetDue = false;
    await lost(watched, "collection_changed");
  }

  /** @returns what is true of the table from now on, see {@link Enrollment}. */
  async #enroll(watched: WatchedCollection, table: CapturedTable, enrollment: Enrollment): Promise<string> {
    const { enroller, publication } = this.#options;
    const present = enrollment.get(table.oid);
    if (present === undefined) {
      await enroller.enroll(table, REPAIR_TIMEOUT_MS);
      const made = (await publication.fetchEnrollment()).get(table.oid);
      if (made === undefined) throw justChanged(watched.name);
      return made;
    }
    if (present !== watched.enrollment) await enroller.outlastWriters(table, REPAIR_TIMEOUT_MS);
    return present;
  }

  /** Whoever watches it is told. */
  async #drop(watched: WatchedCollection): Promise<void> {
    const released = this.#release(watched);
    if (watched.isWatched) this.#options.dropped(watched.name);
    await released;
  }

  async #release(watched: WatchedCollection): Promise<void> {
    this.#options.capturer.forget(watched.name);
    this.#options.watches.drop(watched);
    await this.#options.released(watched.name);
  }
}
