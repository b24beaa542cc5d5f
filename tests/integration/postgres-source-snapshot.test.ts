import { expect, it, onTestFinished } from "vitest";
import { selectSql } from "../../packages/server/src/source/postgres/snapshot/snapshot-sql.ts";
import { Catalog } from "../../packages/server/src/source/postgres/catalog.ts";
import { fetchTables } from "../../packages/server/src/source/postgres/catalog-query.ts";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import { describeSnapshots } from "../support/postgres-source-snapshots.ts";

describeSnapshots(openTestSource);

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
  const catalog = new Catalog({ fetchTables: (columns) => fetchTables(database.pool, columns) }, undefined);
  const table = (await catalog.refresh()).tables.get("indexed");
  if (table === undefined) throw new Error("There is no such table.");
  const wanted = { tenant, narrowing: undefined, maxDocumentBytes: 1_000, encoding: "UTF8" };
  const plan = await database.query(
    `explain ${selectSql(table, { kind: "r", types: { tenant_id: type } }, wanted)}`,
  );
  expect(JSON.stringify(plan.rows)).toContain("by_tenant");
});
