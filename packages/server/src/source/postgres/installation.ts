import type { Pool, PoolClient } from "pg";

/** The bytes of "capture": servers that install at the same time take turns. */
const LOCK_KEY = "27991592183296613";

/**
 * Runs work that changes triggers or their functions, in a transaction, one server at a time.
 *
 * @param lockTimeoutMs - how long any of its statements may wait for a lock.
 */
export async function inInstallation<T>(
  pool: Pool,
  lockTimeoutMs: number,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken = false;
  try {
    await client.query("BEGIN");
    await client.query(`SET LOCAL lock_timeout = ${String(lockTimeoutMs)}`);
    await client.query(`SELECT pg_advisory_xact_lock(${LOCK_KEY})`);
    const result = await work(client);
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {
      broken = true;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}
