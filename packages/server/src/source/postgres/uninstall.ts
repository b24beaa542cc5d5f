import { setTimeout as sleep } from "node:timers/promises";
import { Client, DatabaseError } from "pg";
import { TRIGGER_NAME_PREFIX } from "./capture-sql.ts";
import { LISTENER_APPLICATION_NAME, WAL_APPLICATION_NAME } from "./application-names.ts";
import { SOURCE_SCHEMA_SET } from "./schema.ts";
import { isStreaming, uninstallWal } from "./wal/uninstall.ts";

/** How patient {@link uninstall} is with tables in use. */
export interface UninstallOptions {
  /** How long one attempt may wait for a table, with the application's queries behind it. */
  readonly lockTimeoutMs?: number;
  /** How long to go on attempting for each table. */
  readonly timeoutMs?: number;
}

/** What {@link uninstall} removed. */
export interface UninstallReport {
  /** The tables that had triggers, quoted. */
  readonly tables: readonly string[];
  readonly functions: number;
  /** The replication slots, each with its publication. */
  readonly slots: readonly string[];
}

const LOCK_NOT_AVAILABLE = "55P03";
const DEADLOCK = "40P01";
const RETRY_MS = 200;
const SERVER_END_MS = 2_000;

/**
 * Removes every trigger and function of this source, its replication slot and publication, and its tables, from a
 * database, whichever mode it was in. What else is in schema `paperdb` (tenants and keys) stays.
 *
 * @throws {Error} while a server runs on the database, which would set everything up again; naming the table when one stays locked; a further call goes on from there.
 */
export async function uninstall(url: string, options: UninstallOptions = {}): Promise<UninstallReport> {
  const { lockTimeoutMs = 150, timeoutMs = 30_000 } = options;
  const client = new Client({ connectionString: url, application_name: "paperdb-realtime uninstall" });
  // A lost connection also fails the query that is under way; without a listener it would end the process.
  client.on("error", () => undefined);
  await client.connect();
  try {
    await refuseBesideServer(client);
    // A commit that waited for a standby that is away would keep its locks.
    await client.query(`SET synchronous_commit = local; SET lock_timeout = ${String(lockTimeoutMs)}`);
    const triggers = await fetchTriggers(client);
    for (const { table, trigger } of triggers) {
      await patiently(client, `DROP TRIGGER IF EXISTS ${trigger} ON ${table}`, table, timeoutMs);
    }
    const functions = await fetchFunctions(client);
    for (const signature of functions) {
      await patiently(client, `DROP FUNCTION IF EXISTS ${signature}`, signature, timeoutMs);
    }
    const slots = await uninstallWal(client, (sql, subject) => patiently(client, sql, subject, timeoutMs));
    await patiently(client, "DROP TABLE IF EXISTS paperdb.outbox", "paperdb.outbox", timeoutMs);
    await forgetMigrations(client);
    return { tables: [...new Set(triggers.map(({ table }) => table))], functions: functions.length, slots };
  } finally {
    await client.end();
  }
}

/** The connections of one that has just ended may be there for a moment longer. */
async function refuseBesideServer(client: Client): Promise<void> {
  const deadlineMs = performance.now() + SERVER_END_MS;
  while (await isServerThere(client)) {
    if (performance.now() >= deadlineMs) {
      throw new Error("A server runs on this database and would set everything up again: stop it first.");
    }
    await sleep(RETRY_MS);
  }
}

/** Also one that waits for the slot, or for the database to come back. */
async function isServerThere(client: Client): Promise<boolean> {
  const { rowCount } = await client.query(
    "select from pg_stat_activity where datname = current_database() and application_name = any($1)",
    [[LISTENER_APPLICATION_NAME, WAL_APPLICATION_NAME]],
  );
  return rowCount !== 0 || isStreaming(client);
}

async function fetchTriggers(client: Client): Promise<readonly { table: string; trigger: string }[]> {
  const result = await client.query<{ table: string; trigger: string }>(
    `select format('%I.%I', n.nspname, c.relname) as table, format('%I', t.tgname) as trigger
     from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
     join pg_proc f on f.oid = t.tgfoid join pg_namespace s on s.oid = f.pronamespace
     where s.nspname = 'paperdb' and t.tgparentid = 0 and starts_with(t.tgname::text, $1)
     order by 1, 2`,
    [TRIGGER_NAME_PREFIX],
  );
  return result.rows;
}

async function fetchFunctions(client: Client): Promise<readonly string[]> {
  const result = await client.query<{ signature: string }>(
    `select format('paperdb.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) as signature
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'paperdb' and (p.proname ~ '^capture_[0-9]+$' or p.proname in ('send', 'publish'))`,
  );
  return result.rows.map((row) => row.signature);
}

/** So that a later start sets everything up again. */
async function forgetMigrations(client: Client): Promise<void> {
  const present = await client.query<{ present: boolean }>(
    "select to_regclass('paperdb.migrations') is not null as present",
  );
  if (present.rows[0]?.present !== true) return;
  await client.query("DELETE FROM paperdb.migrations WHERE set = $1", [SOURCE_SCHEMA_SET]);
}

async function patiently(client: Client, sql: string, subject: string, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      await client.query(sql);
      return;
    } catch (error) {
      const busy =
        error instanceof DatabaseError && (error.code === LOCK_NOT_AVAILABLE || error.code === DEADLOCK);
      if (!busy) throw error;
      if (Date.now() >= deadline) {
        throw new Error(
          `${subject} stays locked by a long transaction: end it (see pg_stat_activity), then run uninstall again.`,
          { cause: error },
        );
      }
    }
    await sleep(RETRY_MS * (0.5 + Math.random()));
  }
}
