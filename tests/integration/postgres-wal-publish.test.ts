import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createApplicationDatabase, runInTransaction } from "../support/postgres-source.ts";
import { openWalSource } from "../support/postgres-wal.ts";
import type { TestWalSource } from "../support/postgres-wal.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let test: TestWalSource;
let seen = 0;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
  test = await openWalSource({ url: database.url, slot: "publishing" });
});

beforeEach(() => {
  seen = test.published.length;
});

afterAll(async () => {
  await test.source.close();
  await database.drop();
});

/** What was published since the test began, once all that committed has come. */
async function published(): Promise<readonly { tenant: string; topic: string; data: string }[]> {
  await test.settle(query);
  return test.published.slice(seen).filter(({ tenant }) => tenant !== "barrier");
}

it("publishes when the transaction commits, in the order of the commits, with exact data", async () => {
  const first = await database.pool.connect();
  try {
    await first.query("begin");
    await first.query(
      "select paperdb.publish('a', 'order.created', '{\"id\": 9007199254740993, \"ä\": [12.50, null]}')",
    );
    await query("select paperdb.publish('b', 'order.paid', '\"second\"')");
    await first.query("select paperdb.publish('a', 'order.done', 'null')");
    await first.query("commit");
  } finally {
    first.release();
  }
  expect(await published()).toEqual([
    { tenant: "b", topic: "order.paid", data: '"second"' },
    { tenant: "a", topic: "order.created", data: '{"id":"9007199254740993","ä":[12.50,null]}' },
    { tenant: "a", topic: "order.done", data: "null" },
  ]);
});

it("publishes nothing of what was rolled back, to a savepoint either", async () => {
  await runInTransaction(database, [
    "select paperdb.publish('a', 'kept.one', '1')",
    "savepoint s",
    "select paperdb.publish('a', 'rolled.back', '2')",
    "rollback to s",
    "select paperdb.publish('a', 'kept.two', '3')",
  ]);
  await runInTransaction(database, ["select paperdb.publish('a', 'rolled.back', '4')", "rollback", "begin"]);
  expect((await published()).map(({ topic }) => topic)).toEqual(["kept.one", "kept.two"]);
});

it("takes messages that were emitted by hand, also by a role without any rights", async () => {
  await query("do $$ begin create role emitter; exception when duplicate_object then null; end $$");
  await runInTransaction(database, [
    "set local role emitter",
    `select pg_logical_emit_message(true, 'paperdb', '{"topic": "by.hand", "tenant": "it''s", "data": {"n": 1e400}}')`,
  ]);
  expect(await published()).toEqual([{ tenant: "it's", topic: "by.hand", data: '{"n":"1e400"}' }]);
  await query("drop role emitter");
});

it("ignores and counts what is no event", async () => {
  const before = test.source.stats().garbage;
  const garbage = [
    "",
    "x",
    "[]",
    "{}",
    '{"tenant":"a","topic":"t"}',
    '{"tenant":"a","topic":"a..b","data":1}',
  ];
  for (const content of garbage)
    await query("select pg_logical_emit_message(true, 'paperdb', $1::text)", [content]);
  await query("select pg_logical_emit_message(true, 'paperdb', '\\xff00'::bytea)");
  await query(`select pg_logical_emit_message(false, 'paperdb', '{"tenant":"a","topic":"t","data":1}')`);
  await query(`select pg_logical_emit_message(true, 'other', '{"tenant":"a","topic":"t","data":1}')`);
  expect(await published()).toEqual([]);
  expect(test.source.stats().garbage - before).toBe(garbage.length + 2);
});

it.each([
  ["a tenant of no characters", "select paperdb.publish('', 'a', '1')", /tenant must be/],
  ["a topic that is none", "select paperdb.publish('a', 'a.*', '1')", /topic must be/],
  ["no data", "select paperdb.publish('a', 'a', null)", /data must not be NULL/],
  ["much data", "select paperdb.publish('a', 'a', to_jsonb(repeat('x', 1048576)))", /more than the 1048576/],
])("refuses %s", async (_what, sql, message) => {
  await expect(query(sql)).rejects.toThrow(message);
});

it("does not publish again what was committed before a start, and what was while nobody listened", async () => {
  await query("select paperdb.publish('a', 'before.stop', '1')");
  expect((await published()).map(({ topic }) => topic)).toEqual(["before.stop"]);
  await test.source.close();
  await query("select paperdb.publish('a', 'while.away', '1')");
  const again = await openWalSource({ url: database.url, slot: "publishing" });
  try {
    await query("select paperdb.publish('a', 'after.start', '1')");
    await until(() => again.published.some(({ topic }) => topic === "after.start"));
    expect(again.published.map(({ topic }) => topic)).toEqual(["after.start"]);
  } finally {
    await again.source.close();
  }
});
