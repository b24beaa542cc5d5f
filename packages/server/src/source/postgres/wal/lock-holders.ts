import type { Pool } from "pg";
import type { CapturedTable } from "../table.ts";

/** The transactions that a lock would have to wait for now, by their virtual ids. */
export async function fetchHolders(pool: Pool, table: CapturedTable): Promise<readonly string[]> {
  const relations = [table.oid, ...table.partitions];
  const result = await pool.query<{ holder: string }>(
    `select distinct virtualtransaction as holder from pg_catalog.pg_locks
     where locktype = 'relation' and granted and relation = any($1::oid[])
       and database = (select oid from pg_catalog.pg_database where datname = current_database())
       and (mode not in ('AccessShareLock', 'RowShareLock')
         or exists (select from pg_catalog.pg_class c
           where c.oid = any($1::oid[]) and c.relkind = 'r' and c.relreplident <> 'f'))`,
    [relations],
  );
  return result.rows.map((row) => row.holder);
}

/** The transactions that have written to a table, or a partition of it, by their virtual ids. */
export async function fetchWriters(pool: Pool, table: CapturedTable): Promise<readonly string[]> {
  const result = await pool.query<{ writer: string }>(
    `select distinct virtualtransaction as writer from pg_catalog.pg_locks
     where locktype = 'relation' and granted and relation = any($1::oid[]) and mode = 'RowExclusiveLock'
       and database = (select oid from pg_catalog.pg_database where datname = current_database())`,
    [[table.oid, ...table.partitions]],
  );
  return result.rows.map((row) => row.writer);
}
