import { Client } from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fetchCatalog } from "../../packages/server/src/source/postgres/catalog-query.ts";
import type { CatalogReading } from "../../packages/server/src/source/postgres/catalog-query.ts";
import { DatabasePool } from "../../packages/server/src/source/postgres/database-pool.ts";
import { fetchContents } from "../../packages/server/src/source/postgres/wal/publication-contents.ts";
import { startPostgres } from "../support/postgres.ts";
import type { TestPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

/** A server where nothing is committed but by these tests. */
let server: TestPostgres;
let reader: Client;
let writer: Client;

beforeAll(async () => {
  server = await startPostgres({ settings: { autovacuum: "off", max_prepared_transactions: "5" } });
  [reader, writer] = [await connect(), await connect()];
});

afterAll(async () => {
  await Promise.all([reader.end(), writer.end()]);
  await server.stop();
});

describe("a look at the catalog", () => {
  it("reads nothing while nothing is committed, whatever is being written", async () => {
    await writer.query("begin; create table early (id int primary key, tenant_id text)");
    let written = 0;
    const revision = await until(async () => {
      const before = await readUntilQuiet();
      written += 1;
      await writer.query(`create table late_${String(written)} (id int primary key, tenant_id text)`);
      const after = await read(before.revision);
      return after.tables === undefined && after.revision;
    });
    await writer.query("commit");
    expect(await namesSince(revision)).toEqual(expect.arrayContaining(["early", "late_1"]));
  });

  it.each([
    ["a new table", "create table brand_new (id int primary key, tenant_id text)"],
    ["another column", "alter table brand_new add column body text"],
    ["a row of some table", "insert into brand_new values (1, 'a', 'x')"],
    ["a transaction that was undone", "begin; drop table brand_new; rollback"],
    ["a role", "create role nobody_yet"],
    ["a dropped table", "drop table brand_new; drop role nobody_yet"],
  ])("reads again after %s", async (_what, sql) => {
    const { revision } = await readUntilQuiet();
    await writer.query(sql);
    expect((await read(revision)).tables).toBeDefined();
  });

  it("reads again after a transaction that was prepared before is committed", async () => {
    await writer.query("begin; create table prepared (id int primary key); prepare transaction 'one'");
    const { revision } = await readUntilQuiet();
    await writer.query("commit prepared 'one'");
    expect(await namesSince(revision)).toContain("prepared");
  });

  it("misses nothing of what is committed while it reads", async () => {
    let known = await read(undefined);
    let names = namesOf(known);
    const ended = new AbortController();
    const written = (async () => {
      for (let n = 0; n < 100; n += 1) await writer.query(`create table many_${String(n)} (id int)`);
    })().finally(() => {
      ended.abort();
    });
    const look = async (): Promise<void> => {
      known = await read(known.revision);
      if (known.tables !== undefined) names = namesOf(known);
    };
    while (!ended.signal.aborted) await look();
    await written;
    await look();
    expect(names.filter((name) => name.startsWith("many_"))).toHaveLength(100);
  });

  it("is planned once for a connection, after some times", async () => {
    const log = pino({ level: "silent" });
    const options = { url: server.url, applicationName: "test", connectTimeoutMs: 10_000, log };
    const database = new DatabasePool(options);
    try {
      await database.inspect();
      for (let look = 0; look < 20; look += 1) {
        await database.fetchCatalog(["tenant_id"], "another");
        await fetchContents(database.pool, "no_publication", database.version);
      }
      const plans = "select name, generic_plans >= 10 as once from pg_prepared_statements order by name";
      const { rows } = await database.use((client) => client.query(plans));
      expect(rows).toEqual([
        { name: "paperdb catalog", once: true },
        { name: "paperdb publication", once: true },
      ]);
    } finally {
      await database.close();
    }
  });

  it("reads again after a restart", async () => {
    const { revision } = await readUntilQuiet();
    await Promise.all([reader.end(), writer.end()]);
    await server.kill("SIGINT");
    await server.start();
    [reader, writer] = [await connect(), await connect()];
    expect((await read(revision)).tables).toBeDefined();
  });
});

async function connect(): Promise<Client> {
  const client = new Client({ connectionString: server.url });
  await client.connect();
  return client;
}

async function read(revision: string | undefined): Promise<CatalogReading> {
  return fetchCatalog(reader, ["tenant_id"], revision);
}

/** The server does something of its own now and then. */
async function readUntilQuiet(): Promise<CatalogReading> {
  let last = await read(undefined);
  return until(async () => {
    const next = await read(last.revision);
    const isQuiet = next.tables === undefined;
    last = next;
    return isQuiet && next;
  });
}

function namesOf({ tables = [] }: CatalogReading): string[] {
  return tables.map(({ name }) => name);
}

async function namesSince(revision: string): Promise<string[]> {
  return namesOf(await read(revision));
}
