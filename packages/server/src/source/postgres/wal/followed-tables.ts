import type { Position } from "@paperdb/protocol";
import type { Catalog } from "../catalog.ts";
import type { DatabasePool } from "../database-pool.ts";
import type { CapturedTable } from "../table.ts";
import { JournalTables } from "./journal-tables.ts";
import type { Publication } from "./publication.ts";
import type { WalWatches, WatchedCollection } from "./wal-watches.ts";

/** What {@link FollowedTables} work with. */
export interface FollowedTablesOptions {
  readonly database: DatabasePool;
  readonly catalog: Catalog;
  readonly publication: Publication;
  readonly watches: WalWatches;
  /** Where the stream is. */
  readonly position: () => Position;
}

/** The tables whose changes are received, watched or not, and since when: kept in the database, for the next server. */
export class FollowedTables {
  readonly #options: FollowedTablesOptions;
  readonly #journal: JournalTables;

  constructor(options: FollowedTablesOptions) {
    this.#options = options;
    this.#journal = new JournalTables(options.database, options.publication.name);
  }

  /** Receives what a former server has received, so that its clients can go on. */
  async restore(): Promise<void> {
    const { catalog, publication, watches } = this.#options;
    const collections = await catalog.refresh();
    const tables = await this.#journal.fetch(collections, await publication.fetchEnrollment());
    for (const { table, since, enrollment } of tables) {
      watches.follow(table, since).enrollment ??= enrollment;
    }
  }

  /** All changes of the table are in the stream from here on. */
  async follow(table: CapturedTable, enrollment: string): Promise<void> {
    const { position, watches } = this.#options;
    const known = watches.get(table.collection);
    if (known !== undefined) {
      // Of one that is watched, the follower of the catalog sees to it that its subscribers are told.
      if (known.isWatched || known.goesOnWith(table, enrollment)) return;
      watches.drop(known);
    }
    const followed = watches.follow(table, position());
    followed.enrollment = enrollment;
    await this.#journal.record(table, followed.since, enrollment);
  }

  /** The subscribers of a collection were reset, and its changes begin anew. */
  async renew({ table, since, enrollment }: WatchedCollection): Promise<void> {
    if (enrollment !== undefined) await this.#journal.record(table, since, enrollment);
  }

  /** A collection is not received any more. */
  async release(collection: string): Promise<void> {
    await this.#journal.forget(collection);
  }
}
