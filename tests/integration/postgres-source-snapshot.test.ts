import { expect, it, onTestFinished } from "vitest";
import { selectSql } from "../../packages/server/src/source/postgres/snapshot/snapshot-sql.ts";
import { Catalog } from "../../packages/server/src/source/postgres/catalog.ts";
import { fetchCatalog } from "../../packages/server/src/source/postgres/catalog-query.ts";
import { LISTENER_APPLICATION_NAME } from "../../packages/server/src/source/postgres/application-names.ts";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import { describeSnapshots } from "../support/postgres-source-snapshots.ts";
import { readAll, takeSnapshot } from "../support/snapshots.ts";
import { until } from "../support/until.ts";

describeSnapshots(openTestSource);

it("has no seam while nobody would receive what it waits for", async () => {
  const database = await createApplicationDatabase();
  onTestFinished(() => database.drop());
  await database.query("create table seams (id int primary key, tenant_id text)");
  await database.query("insert into seams values (1, 'a')");
  const test = await openTestSource({ url: database.url });
  onTestFinished(() => test.source.close());
  await test.watch("a", "seams");
  const taken = await takeSnapshot(test.source, { tenant: "a", collection: "seams" });
  expect(await readAll(taken)).toHaveLength(1);
  await database.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = $1",
    [LISTENER_APPLICATION_NAME],
  );
  // It comes back by itself, over many turns of the event loop.
  while (test.source.state().live) await new Promise((resolve) => setImmediate(resolve));
  await expect(taken.seam()).rejects.toMatchObject({ code: "source_unavailable" });
  await until(() => test.source.state().live, { describe: "the source to come back" });
  expect(await taken.seam()).toMatchObject({ position: expect.any(String) });
});

it("makes the database end what it does for one that has gone, even while there is nothing to send", async () => {
  const database = await createApplicationDatabase();
  onTestFinished(() => database.drop());
  await database.query("create type slow as enum ('a')");
  await database.query(
    "create function slowly(slow) returns text language sql as $$ select pg_sleep(1); select 'a'::text $$",
  );
  await database.query("create cast (slow as text) with function slowly(slow)");
  await database.query("create table sleeping (id int primary key, tenant_id slow)");
  await database.query("insert into sleeping select i, 'a' from generate_series(1, 60) i");
  const test = await openTestSource({ url: database.url });
  onTestFinished(() => test.source.close());
  await test.watch("a", "sleeping");
  const leave = new AbortController();
  const { batches } = await takeSnapshot(test.source, { tenant: "a", collection: "sleeping" }, leave.signal);
  const next = batches[Symbol.asyncIterator]().next();
  next.catch(() => undefined);
  const fetchWorking = async (): Promise<readonly unknown[]> => {
    const result = await database.query(
      "select wait_event from pg_stat_activity where application_name = $1 and state = 'active' and datname = current_database()",
      ["paperdb-realtime snapshots"],
    );
    return result.rows.map((row) => row["wait_event"]);
  };
  await until(async () => (await fetchWorking()).includes("PgSleep"), { describe: "the database to work" });
  leave.abort(new Error("gone"));
  await expect(next).rejects.toThrow("gone");
  await until(async () => (await fetchWorking()).length === 0, { describe: "the database to give up" });
});

const UUID = "4c8fb6c8-5ac6-4b3c-8f6d-0f6f0c5f8a11";

it.each([
  ["uuid", UUID, "gen_random_uuid()"],
  ["int4", "7", "i"],
  ["int8", "7", "i"],
  ["text", "7", "i::text"],
  ["varchar", "7", "i::text"],
])("reads with an index on a tenant column of type %s", async (type, tenant, value) => {
  const database = await createApplicationDatabase();
  onTestFinished(() => database.drop());
  await database.query(`create table indexed (id int primary key, tenant_id ${type}, n int)`);
  await database.query("create index by_tenant on indexed (tenant_id)");
  await database.query(`insert into indexed select i, ${value}, 0 from generate_series(1, 5000) i`);
  await database.query("analyze indexed");
  const catalog = new Catalog(
    { fetchCatalog: (columns, known) => fetchCatalog(database.pool, columns, known) },
    undefined,
  );
  const table = (await catalog.refresh()).tables.get("indexed");
  if (table === undefined) throw new Error("There is no such table.");
  const wanted = { tenant, narrowing: undefined, maxDocumentBytes: 1_000, encoding: "UTF8" };
  const plan = await database.query(
    `explain ${selectSql(table, { kind: "r", types: { tenant_id: type } }, wanted)}`,
  );
  expect(JSON.stringify(plan.rows)).toContain("by_tenant");
});
