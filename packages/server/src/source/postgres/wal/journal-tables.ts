import { createHash } from "node:crypto";
import type { Position } from "@paperdb/protocol";
import type { Collections } from "../collections.ts";
import type { DatabasePool } from "../database-pool.ts";
import type { CapturedTable } from "../table.ts";

/** A table whose changes are in the log, all of one kind. */
export interface JournalTable {
  readonly table: CapturedTable;
  readonly since: Position;
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
  async fetch({ tables }: Collections): Promise<readonly JournalTable[]> {
    const result = await this.#database.pool.query<{
      collection: string;
      fingerprint: string;
      since: string;
      relation: string;
    }>(
      `select h.collection, h.fingerprint, h.since, r.prrelid::pg_catalog.int8 as relation
       from paperdb.wal_histories h
       join pg_catalog.pg_publication_rel r on r.oid = h.enrollment
       join pg_catalog.pg_publication p on p.oid = r.prpubid and p.pubname = h.slot
       where h.slot = $1`,
      [this.#slot],
    );
    return result.rows.flatMap(({ collection, fingerprint, since, relation }) => {
      const table = tables.get(collection);
      const goesOn = table?.oid === Number(relation) && fingerprintOf(table) === fingerprint;
      return goesOn ? [{ table, since }] : [];
    });
  }

  /** All changes of the table are in the log since there. */
  async record(table: CapturedTable, since: Position): Promise<void> {
    await this.#database.pool.query(
      `insert into paperdb.wal_histories (slot, collection, enrollment, fingerprint, since)
       select $1, $2, r.oid, $4, $5 from pg_catalog.pg_publication_rel r
       join pg_catalog.pg_publication p on p.oid = r.prpubid and p.pubname = $1
       where r.prrelid = $3::oid
       on conflict (slot, collection) do update
         set enrollment = excluded.enrollment, fingerprint = excluded.fingerprint, since = excluded.since`,
      [this.#slot, table.collection, table.oid, fingerprintOf(table), since],
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
