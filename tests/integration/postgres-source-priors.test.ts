import { afterAll, beforeAll, expect, it } from "vitest";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import { testPriors } from "../support/postgres-source-priors.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

testPriors(openTestSource);

const NO_FIELDS: ReadonlySet<string> = new Set();
let database: TestDatabase;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
});

afterAll(async () => {
  await database.drop();
});

async function createTable(name: string): Promise<void> {
  await query(`create table ${name} (id int primary key, tenant_id text, n int)`);
  await query(`insert into ${name} values (1, 'a', 0)`);
}

async function hasArgument(table: string): Promise<boolean> {
  const { rows } = await query(
    "select bool_or(tgnargs > 0) as has from pg_trigger where tgrelid = $1::regclass",
    [table],
  );
  return rows[0]?.["has"] === true;
}

it("are not sent before somebody needs them, and updates without them are taken back then", async () => {
  await createTable("asked");
  const test = await openTestSource({ url: database.url });
  try {
    await test.watch("a", "asked");
    await query("update asked set n = 1");
    const [first] = await test.sink.next("a", "asked", 1);
    expect(first?.document).toMatchObject({ n: 1 });
    expect(test.sink.events[0]?.body).not.toHaveProperty("prior");
    expect(await hasArgument("asked")).toBe(false);
    await Promise.all([
      test.source.needPrior("asked", NO_FIELDS),
      test.source.needPrior("asked", NO_FIELDS),
      test.watch("b", "asked"),
    ]);
    expect(await hasArgument("asked")).toBe(true);
    expect(test.sink.resetsOf("a", "asked", "prior_unknown")).toBe(1);
    await query("update asked set n = 2");
    await test.sink.next("a", "asked", 2);
    expect(test.sink.events[1]?.body).toMatchObject({ prior: '{"id":1,"tenant_id":"a","n":1}' });
    await test.source.needPrior("asked", NO_FIELDS);
    expect(test.sink.resets).toHaveLength(1);
  } finally {
    await test.source.close();
  }
});

it("are there for every update that another session began before, and none is delivered without", async () => {
  await createTable("racing");
  const test = await openTestSource({ url: database.url });
  try {
    await test.watch("a", "racing");
    const writers = Array.from({ length: 3 }, async () => {
      for (let round = 0; round < 40; round += 1) await query("update racing set n = n + 1");
    });
    await test.source.needPrior("racing", NO_FIELDS);
    const before = test.sink.events.length;
    await Promise.all(writers);
    await query("update racing set n = n + 1");
    await test.settle(query);
    const later = test.sink.events.slice(before);
    expect(later.length).toBeGreaterThan(0);
    for (const { body } of later) {
      if (!("document" in body)) throw new Error("That was no change.");
      const { n } = JSON.parse(body.document) as { n: number };
      expect(body.prior).toBe(`{"id":1,"tenant_id":"a","n":${String(n - 1)}}`);
    }
  } finally {
    await test.source.close();
  }
});

it("stay on when a server that does not need them installs its triggers, or starts later", async () => {
  await createTable("kept");
  const needing = await openTestSource({ url: database.url });
  const other = await openTestSource({ url: database.url, settings: { maxDocumentBytes: 1024 * 1024 } });
  try {
    await needing.source.needPrior("kept", NO_FIELDS);
    await needing.watch("a", "kept");
    // Another bound is another function, so it is made anew.
    await other.watch("a", "kept");
    expect(await hasArgument("kept")).toBe(true);
    await query("update kept set n = 1");
    for (const { sink } of [needing, other]) {
      await sink.next("a", "kept", 1);
      expect(sink.events[0]?.body).toMatchObject({ prior: '{"id":1,"tenant_id":"a","n":0}' });
      expect(sink.resets).toEqual([]);
    }
  } finally {
    await Promise.all([needing.source.close(), other.source.close()]);
  }
});

it("are put back when they are gone, and what came without them is a reset", async () => {
  await createTable("stripped");
  const test = await openTestSource({ url: database.url, settings: { catalogPollIntervalMs: 100 } });
  try {
    await test.source.needPrior("stripped", NO_FIELDS);
    await test.watch("a", "stripped");
    const { rows } = await query(
      "select tgname as name, tgfoid::regproc::text as function from pg_trigger where tgrelid = 'stripped'::regclass and tgnargs > 0",
    );
    const [{ name, function: capture } = {}] = rows;
    await query(`begin;
      create or replace trigger "${String(name)}" after insert or update or delete on stripped for each row execute function ${String(capture)}();
      alter table stripped enable always trigger "${String(name)}";
      update stripped set n = 1;
      commit`);
    await until(() => test.sink.resetsOf("a", "stripped", "prior_unknown") === 1, { describe: "a reset" });
    await until(() => hasArgument("stripped"), { describe: "the trigger" });
    expect(test.sink.events).toEqual([]);
  } finally {
    await test.source.close();
  }
});

it("do not fail for who does not need them while the table is locked", async () => {
  await createTable("busy");
  const test = await openTestSource({
    url: database.url,
    settings: { installTimeoutMs: 2_000, lockTimeoutMs: 300 },
  });
  const holder = await database.pool.connect();
  try {
    await test.watch("a", "busy");
    await holder.query("begin; update busy set n = 1");
    await expect(test.source.needPrior("busy", NO_FIELDS)).rejects.toMatchObject({
      code: "source_unavailable",
    });
    await test.watch("b", "busy");
    await holder.query("commit");
    await test.sink.next("a", "busy", 1);
    await test.source.needPrior("busy", NO_FIELDS);
    expect(await hasArgument("busy")).toBe(true);
  } finally {
    holder.release(true);
    await test.source.close();
  }
});
