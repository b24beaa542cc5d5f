import { Client } from "pg";
import { RealtimeError } from "@paperdb/protocol";
import { isAlive } from "./postmaster-file.ts";
import { errorCode } from "../data-dir/error-code.ts";

const INVALID_PASSWORD = "28P01";
const DUPLICATE_DATABASE = "42P04";

/** The database and role that the embedded PostgreSQL offers. */
export interface DatabaseSetup {
  readonly port: number;
  readonly user: string;
  readonly database: string;
  /** The password that is to work from now on. */
  readonly password: string;
  /** The one that worked at the last start, where it is known. */
  readonly lastPassword: string | undefined;
}

/** The connection string of the embedded database. */
export function databaseUrl({ port, user, database, password }: Omit<DatabaseSetup, "lastPassword">): string {
  const [role, secret, name] = [user, password, database].map(encodeURIComponent);
  return `postgres://${role}:${secret}@127.0.0.1:${port}/${name}`;
}

/**
 * Makes the configured password the role's, and creates the database where it
 * is missing.
 *
 * @throws {RealtimeError} when neither password is accepted.
 */
export async function setUpDatabase(setup: DatabaseSetup): Promise<void> {
  const client = await connectAndSetPassword(setup);
  try {
    const { rowCount } = await client.query("select from pg_database where datname = $1", [setup.database]);
    if (rowCount === 0) await createDatabase(client, setup.database);
  } finally {
    await client.end();
  }
}

async function connectAndSetPassword(setup: DatabaseSetup): Promise<Client> {
  const client = await connectWith(setup, setup.password);
  if (client !== undefined) return client;
  const { lastPassword } = setup;
  const earlier = lastPassword === undefined ? undefined : await connectWith(setup, lastPassword);
  if (earlier === undefined) {
    throw new RealtimeError(
      "source_unavailable",
      `The embedded PostgreSQL refuses PAPERDB_PG_PASSWORD: set it to the password that role "${setup.user}" has.`,
    );
  }
  const holder = await fetchOtherUse(earlier);
  if (holder !== undefined) {
    await earlier.end();
    throw new RealtimeError(
      "conflict",
      `The embedded PostgreSQL is in use by another process (pid ${holder}) with another password: set PAPERDB_PG_PASSWORD to the same one, or stop that process.`,
    );
  }
  await earlier.query(
    `alter role ${earlier.escapeIdentifier(setup.user)} password ${earlier.escapeLiteral(setup.password)}`,
  );
  return earlier;
}

/** The process of ours that uses the database beside this one. */
async function fetchOtherUse(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>(
    `select substring(application_name from 'pid=(\\d+)')::int as pid from pg_stat_activity
     where application_name like 'paperdb-realtime % pid=%' and pid <> pg_backend_pid()`,
  );
  for (const { pid } of rows) if (await isAlive(pid)) return pid;
  return undefined;
}

/** Undefined when the password is wrong. */
async function connectWith(setup: DatabaseSetup, password: string): Promise<Client | undefined> {
  const client = new Client({
    connectionString: databaseUrl({ ...setup, database: "postgres", password }),
    application_name: `paperdb-realtime launcher pid=${process.pid}`,
  });
  // A lost connection also fails the query that is under way, which reports it.
  client.on("error", () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    if (errorCode(error) === INVALID_PASSWORD) return undefined;
    throw error;
  }
}

async function createDatabase(client: Client, database: string): Promise<void> {
  try {
    await client.query(`create database ${client.escapeIdentifier(database)}`);
  } catch (error) {
    // Two starts at once may both find it missing; the loser meets either code.
    const code = errorCode(error);
    if (code !== DUPLICATE_DATABASE && code !== "23505") throw error;
  }
}
