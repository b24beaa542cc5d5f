import { randomBytes } from "node:crypto";
import { Client, DatabaseError, Pool } from "pg";
import type { QueryResult, QueryResultRow } from "pg";
import { inject } from "vitest";
import { startOwnPostgres } from "./own-postgres.ts";
import type { OwnPostgresOptions, TestPostgres } from "./own-postgres.ts";
import { until } from "./until.ts";

export type { TestPostgres } from "./own-postgres.ts";

const OBJECT_IN_USE = "55006";

/** A database of a test's own on the run's server. */
export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  readonly pool: Pool;
  query<Row extends QueryResultRow = QueryResultRow>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
  /** Ends its connections and removes it. */
  drop(): Promise<void>;
}

/** Creates an empty database on the run's server. */
export async function createDatabase(): Promise<TestDatabase> {
  const serverUrl = inject("postgresUrl");
  const name = `test_${randomBytes(6).toString("hex")}`;
  await runOnServer(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const database = openDatabase(url.href);
  return {
    ...database,
    async drop() {
      await database.drop();
      await dropDatabase(name, serverUrl);
    },
  };
}

/** Removes a database of the run's server, once no stream of it is ending any more: `force` does not end those. */
export async function dropDatabase(name: string, serverUrl: string = inject("postgresUrl")): Promise<void> {
  await until(
    async () => {
      try {
        await runOnServer(serverUrl, `drop database if exists ${name} with (force)`);
        return true;
      } catch (error) {
        if (error instanceof DatabaseError && error.code === OBJECT_IN_USE) return false;
        throw error;
      }
    },
    { describe: `the end of the streams of ${name}` },
  );
}

/** A database that somebody else made, and removes. */
export function openDatabase(url: string): TestDatabase {
  const pool = new Pool({ connectionString: url, max: 10 });
  // Connections that a test's kill takes away; queries on them fail by themselves.
  pool.on("error", () => undefined);
  return {
    url,
    name: new URL(url).pathname.slice(1),
    pool,
    query: (sql, params) => pool.query(sql, params === undefined ? undefined : [...params]),
    drop: () => pool.end(),
  };
}

/** Starts a server of the test's own, of the version that the run is for. */
export function startPostgres(options: OwnPostgresOptions = {}): Promise<TestPostgres> {
  return startOwnPostgres({ binDir: inject("postgresBinDir"), ...options });
}

async function runOnServer(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
