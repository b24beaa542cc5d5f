import { Client, DatabaseError } from "pg";
import { explainConnectFailure } from "./connect-failure.ts";
import { ANNOUNCEMENT_FUNCTIONS, ANNOUNCEMENT_MIGRATION_SET, TENANT_MIGRATION_SET } from "./migrations.ts";
import { DEMO_SET } from "./demo.ts";

const DEPENDENT_OBJECTS = "2BP01";
const CONNECT_TIMEOUT_MS = 5000;
const LOCK_TIMEOUT_MS = 5000;

/**
 * Removes the functions and triggers on tenants and keys; a later start puts them in again.
 *
 * @param withTenants - removes tenants and keys as well, and schema `paperdb` when nothing else is in it.
 */
export async function uninstallTenants(url: string, withTenants: boolean): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A lost connection also fails the query that is under way; without a listener it would end the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw new Error(explainConnectFailure(error, url), { cause: error });
  }
  try {
    const schema = await client.query("select 1 from pg_namespace where nspname = 'paperdb'");
    if (schema.rowCount === 0) return;
    await client.query(`set lock_timeout = ${String(LOCK_TIMEOUT_MS)}`);
    for (const name of ANNOUNCEMENT_FUNCTIONS)
      await client.query(`drop function if exists paperdb.${name} cascade`);
    await forgetMigrations(client, [ANNOUNCEMENT_MIGRATION_SET]);
    if (withTenants) await dropTables(client);
  } finally {
    await client.end();
  }
}

async function dropTables(client: Client): Promise<void> {
  await client.query("drop table if exists paperdb.keys, paperdb.tenants");
  await forgetMigrations(client, [TENANT_MIGRATION_SET, DEMO_SET]);
  const history = await client.query(
    "select 1 from pg_tables where schemaname = 'paperdb' and tablename = 'migrations'",
  );
  const others =
    history.rowCount === 0 ? history : await client.query("select 1 from paperdb.migrations limit 1");
  if (others.rowCount !== 0) return;
  await client.query("drop table if exists paperdb.migrations");
  try {
    await client.query("drop schema paperdb");
  } catch (error) {
    const isInUse = error instanceof DatabaseError && error.code === DEPENDENT_OBJECTS;
    if (!isInUse) throw error; // What somebody else put into it stays.
  }
}

async function forgetMigrations(client: Client, sets: readonly string[]): Promise<void> {
  const history = await client.query(
    "select 1 from pg_tables where schemaname = 'paperdb' and tablename = 'migrations'",
  );
  if (history.rowCount === 0) return;
  await client.query("delete from paperdb.migrations where set = any($1)", [sets]);
}
