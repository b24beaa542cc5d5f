import { createHash } from "node:crypto";
import type { Position } from "@paperdb/protocol";
import type { Collections } from "../collections.ts";
import type { DatabasePool } from "../database-pool.ts";
import type { CapturedTable } from "../table.ts";
import type { Enrollment } from "./publication-contents.ts";

/** A table whose changes are in the log, all of one kind. */
export interface JournalTable {
  readonly table: CapturedTable;
  readonly since: Position;
  /** See {@link Enrollment}. */
  readonly enrollment: string;
}

/**
 * Since when each table's changes are in the log as clients were told them, kept in the database for the
 * server that comes after. Tables that have changed since, or left the publication, are not in it.
 */
export class JournalTables {
  readonly #database: Pick<DatabasePool, "pool">;
  readonly #slot: string;

  constructor(database: Pick<DatabasePool, "pool">, slot: string) {
    this.#database = database;
    this.#slot = slot;
  }

  /** Those that go on, of the tables of now. */
  async fetch({ tables }: Collections, enrollment: Enrollment): Promise<readonly JournalTable[]> {
    const result = await this.#database.pool.query<{
      collection: string;
      enrollment: string;
      fingerprint: string;
      since: string;
    }>("select collection, enrollment, fingerprint, since from paperdb.wal_histories where slot = $1", [
      this.#slot,
    ]);
    return result.rows.flatMap(({ collection, fingerprint, since, enrollment: former }) => {
      const table = tables.get(collection);
      if (table === undefined || fingerprintOf(table) !== fingerprint) return [];
      return enrollment.get(table.oid) === former ? [{ table, since, enrollment: former }] : [];
    });
  }

  /** All changes of the table are in the log since there. */
  async record(table: CapturedTable, since: Position, enrollment: string): Promise<void> {
    await this.#database.pool.query(
      `insert into paperdb.wal_histories (slot, collection, enrollment, fingerprint, since)
       values ($1, $2, $3, $4, $5) on conflict (slot, collection) do update
         set enrollment = excluded.enrollment, fingerprint = excluded.fingerprint, since = excluded.since`,
      [this.#slot, table.collection, enrollment, fingerprintOf(table), since],
    );
  }

  /** The collection's changes are not to be relied on any more. */
  async forget(collection: string): Promise<void> {
    await this.#database.pool.query("delete from paperdb.wal_histories where slot = $1 and collection = $2", [
      this.#slot,
      collection,
    ]);
  }
}

/** Equal as long as its changes are told in the same way, whatever server tells them. */
function fingerprintOf({ shape, attachments, virtualColumns, hidden }: CapturedTable): string {
  const parts = [shape, attachments, virtualColumns, [...hidden].toSorted()];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}
