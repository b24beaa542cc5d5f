import type { Pool } from "pg";

/** Rows swept in one go. */
const SWEEP_ROWS = 1_000;

/** The message of an outbox row, or undefined when there is no such row any more. */
export async function fetchOutboxMessage(pool: Pool, id: string): Promise<string | undefined> {
  const result = await pool.query<{ message: Buffer }>("select message from paperdb.outbox where id = $1", [
    id,
  ]);
  return result.rows[0]?.message.toString("utf8");
}

/**
 * Deletes rows a while after they were first seen committed: a row may have been
 * written long before its transaction ended.
 */
export async function sweepOutbox(pool: Pool, retentionMs: number): Promise<void> {
  await pool.query(
    `update paperdb.outbox set sweep_after = clock_timestamp() + $1 * interval '1 ms'
     where id in (select id from paperdb.outbox where sweep_after is null limit $2 for update skip locked)`,
    [retentionMs, SWEEP_ROWS],
  );
  await pool.query(
    `delete from paperdb.outbox
     where id in (select id from paperdb.outbox where sweep_after < clock_timestamp() limit $1 for update skip locked)`,
    [SWEEP_ROWS],
  );
}

/** Drops the functions of tables that were dropped: a role that had rights on them can be dropped then. */
export async function dropOrphanedFunctions(pool: Pool): Promise<void> {
  const result = await pool.query<{ name: string }>(
    `select format('paperdb.%I', p.proname) as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'paperdb' and p.proname ~ '^capture_[0-9]+$'
       and not exists (select from pg_trigger t where t.tgfoid = p.oid)`,
  );
  for (const { name } of result.rows) await pool.query(`drop function if exists ${name}()`);
}
