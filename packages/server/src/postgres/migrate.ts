import { DatabaseError } from "pg";
import type { Client, PoolClient } from "pg";

/** One step of a schema's history. Once released, its SQL never changes. */
export interface Migration {
  /** Ascending within its set, from 1. */
  readonly id: number;
  readonly sql: string;
}

/** The database cannot be brought to the schema that this version needs; the message says what to do. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

/** Longer than any migration takes; a server that waits longer behind another one gives up. */
const LOCK_TIMEOUT_MS = 30_000;

/** The bytes of "paperdb": a key of advisory locks that no one else uses. */
const ADVISORY_LOCK_KEY = "31632332757820514";

const INSUFFICIENT_PRIVILEGE = "42501";
const LOCK_NOT_AVAILABLE = "55P03";

/**
 * Brings one set of tables in schema `paperdb` up to date: runs, each in a
 * transaction of its own, the migrations that this database has not seen.
 *
 * Servers that start together wait for each other on an advisory lock, which
 * ends with its transaction, so that it also holds behind a pooler.
 *
 * @param set - names the history, such as `"tenants"`.
 * @throws {MigrationError} the database is newer than this version, or a right is missing.
 */
export async function migrate(
  client: Client | PoolClient,
  set: string,
  migrations: readonly Migration[],
): Promise<void> {
  try {
    const applied = await inLockedTransaction(client, () => readApplied(client, set));
    refuseNewer(set, applied, migrations);
    for (const migration of migrations) {
      if (!applied.has(migration.id)) await inLockedTransaction(client, () => apply(client, set, migration));
    }
  } catch (error) {
    throw await explain(client, error);
  }
}

async function inLockedTransaction<T>(client: Client | PoolClient, work: () => Promise<T>): Promise<T> {
  await client.query("begin");
  try {
    await client.query(`set local lock_timeout = ${String(LOCK_TIMEOUT_MS)}`);
    await client.query(`select pg_advisory_xact_lock(${ADVISORY_LOCK_KEY})`);
    const result = await work();
    await client.query("commit");
    return result;
  } catch (error) {
    // The first error is the one to report; a connection that is gone cannot roll back.
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}

async function readApplied(client: Client | PoolClient, set: string): Promise<ReadonlySet<number>> {
  const existing = await client.query<{ ready: boolean }>(
    "select to_regclass('paperdb.migrations') is not null as ready",
  );
  if (existing.rows[0]?.ready !== true) await createHistory(client);
  const history = await client.query<{ id: number }>("select id from paperdb.migrations where set = $1", [
    set,
  ]);
  return new Set(history.rows.map((row) => row.id));
}

async function createHistory(client: Client | PoolClient): Promise<void> {
  // "if not exists" would ask for the right to create a schema even where it exists.
  const schema = await client.query("select 1 from pg_namespace where nspname = 'paperdb'");
  if (schema.rowCount === 0) await client.query("create schema paperdb");
  await client.query(
    `create table paperdb.migrations (
       set text not null, id integer not null, applied_at timestamptz not null default now(),
       primary key (set, id))`,
  );
}

async function apply(client: Client | PoolClient, set: string, migration: Migration): Promise<void> {
  const claimed = await client.query(
    "insert into paperdb.migrations (set, id) values ($1, $2) on conflict do nothing",
    [set, migration.id],
  );
  if (claimed.rowCount === 1) await client.query(migration.sql);
}

function refuseNewer(set: string, applied: ReadonlySet<number>, migrations: readonly Migration[]): void {
  const newestKnown = Math.max(0, ...migrations.map((migration) => migration.id));
  const newest = Math.max(0, ...applied);
  if (newest <= newestKnown) return;
  throw new MigrationError(
    `Schema "paperdb" of this database is at version ${String(newest)} of "${set}", made by a newer PaperDB Realtime; ` +
      `this one knows versions up to ${String(newestKnown)}: start the newer version instead.`,
  );
}

async function explain(client: Client | PoolClient, error: unknown): Promise<unknown> {
  if (!(error instanceof DatabaseError)) return error;
  if (error.code === LOCK_NOT_AVAILABLE) {
    return new MigrationError(
      `Schema "paperdb" stayed locked for ${String(LOCK_TIMEOUT_MS / 1000)} s: end the transaction that holds it ` +
        "(see pg_stat_activity), then start again.",
      { cause: error },
    );
  }
  if (error.code !== INSUFFICIENT_PRIVILEGE) return error;
  return new MigrationError(
    `The database user may not set up schema "paperdb" (${error.message}). As a superuser or the database's owner, run: ` +
      `${await fetchMendingSql(client)} Then start again.`,
    { cause: error },
  );
}

/** SQL that gives this user a schema of its own, or the one that exists. */
async function fetchMendingSql(client: Client | PoolClient): Promise<string> {
  const result = await client.query<{ sql: string }>(
    `select case when exists (select from pg_namespace where nspname = 'paperdb')
       then format('ALTER SCHEMA paperdb OWNER TO %I;', current_user)
       else format('CREATE SCHEMA paperdb AUTHORIZATION %I;', current_user) end as sql`,
  );
  return result.rows[0]?.sql ?? "";
}
