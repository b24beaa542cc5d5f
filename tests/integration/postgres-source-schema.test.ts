import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeSchema } from "../support/postgres-source-definitions.ts";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import type { TestSource } from "../support/postgres-source.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

describeSchema(openTestSource);

let database: TestDatabase;
let test: TestSource;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
  test = await openTestSource({ url: database.url });
});

afterAll(async () => {
  await test.source.close();
  await database.drop();
});

async function untilReset(tenant: string, collection: string, reason: string, times = 1): Promise<void> {
  await until(() => test.sink.resetsOf(tenant, collection, reason) >= times, {
    describe: () => `${reason} of ${collection}: ${JSON.stringify(test.sink.resets)}`,
  });
  expect(test.sink.resetsOf(tenant, collection, reason)).toBe(times);
}

describe("triggers", () => {
  it.each([
    ["disabled", (name: string) => `alter table meddled disable trigger "${name}"`],
    ["dropped", (name: string) => `drop trigger "${name}" on meddled`],
    ["made ordinary", (name: string) => `alter table meddled enable trigger "${name}"`],
  ])("puts a trigger back that somebody has %s, and resets", async (_what, meddle) => {
    await query("drop table if exists meddled");
    await query("create table meddled (id int primary key, tenant_id text)");
    await test.watch("a", "meddled");
    const before = test.sink.resetsOf("a", "meddled", "collection_changed");
    const received = test.sink.changes("a", "meddled").length;
    const trigger = await query(
      "select tgname from pg_trigger where tgrelid = 'meddled'::regclass order by length(tgname)",
    );
    await query(meddle(String(trigger.rows[0]?.["tgname"])));
    await untilReset("a", "meddled", "collection_changed", before + 1);
    await query("insert into meddled values (1, 'a')");
    await test.sink.next("a", "meddled", received + 1);
  });
});

describe("installing", () => {
  it("ends a collection that cannot be captured any more, rather than be silent about it", async () => {
    const test2 = await openTestSource({ url: database.url });
    const long = await database.pool.connect();
    try {
      await query("create table lost_grip (id int primary key, tenant_id text)");
      await test2.watch("a", "lost_grip");
      await long.query("begin");
      await long.query("insert into lost_grip values (1, 'a')");
      const trigger = await query(
        "select tgname from pg_trigger where tgrelid = 'lost_grip'::regclass order by length(tgname)",
      );
      // The writer itself disables the trigger and keeps the table: it cannot be put right meanwhile.
      await long.query(`alter table lost_grip disable trigger "${String(trigger.rows[0]?.["tgname"])}"`);
      await long.query("commit; begin; lock table lost_grip in row exclusive mode");
      await until(() => test2.sink.droppedCollections.includes("lost_grip"));
      await long.query("commit");
      await test2.watch("a", "lost_grip");
      await query("insert into lost_grip values (2, 'a')");
      await until(() => test2.sink.changes("a", "lost_grip").some(({ id }) => id === "2"));
    } finally {
      long.release(true);
      await test2.source.close();
    }
  });

  it("gives up when the transaction does not end, with a sentence and a time to come back", async () => {
    const impatient = await openTestSource({ url: database.url, settings: { installTimeoutMs: 300 } });
    const long = await database.pool.connect();
    try {
      await query("create table held (id int primary key, tenant_id text)");
      await long.query("begin");
      await long.query("insert into held values (1, 'a')");
      await expect(impatient.watch("a", "held")).rejects.toMatchObject({
        code: "source_unavailable",
        message: expect.stringMatching(/"held" was locked by a long transaction or a VACUUM/),
        retryAfterSeconds: 5,
      });
    } finally {
      await long.query("rollback");
      long.release();
      await impatient.source.close();
    }
  });

  it("is done once by servers that watch at the same time", async () => {
    await query("create table shared (id int primary key, tenant_id text)");
    const servers = await Promise.all([1, 2, 3].map(() => openTestSource({ url: database.url })));
    try {
      await Promise.all(
        servers.flatMap((server) => ["a", "b"].map((tenant) => server.watch(tenant, "shared"))),
      );
      await query("insert into shared values (1, 'a')");
      for (const server of servers) {
        await server.sink.next("a", "shared", 1);
        expect(server.sink.resets).toEqual([]);
      }
    } finally {
      await Promise.all(servers.map((server) => server.source.close()));
    }
  });
});

describe("several servers on one database", () => {
  it("are all reset when one of them puts a trigger back", async () => {
    await query("create table common (id int primary key, tenant_id text)");
    const settings = { catalogPollIntervalMs: 50 };
    const servers = await Promise.all([1, 2].map(() => openTestSource({ url: database.url, settings })));
    try {
      for (const server of servers) await server.watch("a", "common");
      const resets = () => servers.map(({ sink }) => sink.resetsOf("a", "common", "collection_changed"));
      const disabled = "select from pg_trigger where tgrelid = 'common'::regclass and tgenabled <> 'A'";
      for (let round = 1; round <= 5; round++) {
        const before = resets();
        await query(
          "begin; alter table common disable trigger user; insert into common values (" +
            String(round) +
            ", 'a'); commit",
        );
        await until(async () => (await query(disabled)).rowCount === 0);
        // What put the triggers back has told everybody, before anything that comes after it.
        await Promise.all(servers.map((server) => server.settle(query)));
        expect(resets().map((count, index) => count > (before[index] ?? 0))).toEqual([true, true]);
      }
      await query("insert into common values (100, 'a')");
      for (const server of servers)
        expect(await server.sink.next("a", "common", 1)).toMatchObject([{ id: "100" }]);
    } finally {
      await Promise.all(servers.map((server) => server.source.close()));
    }
  });
});
