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
