import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestDatabase } from "./postgres.ts";
import { createApplicationDatabase, runInTransaction } from "./postgres-source.ts";
import type { OpenTestSource, TestSource } from "./postgres-source.ts";
import { until } from "./until.ts";

/** How every mode of the PostgreSQL source follows the schema. */
export function describeSchema(openTestSource: OpenTestSource): void {
  let database: TestDatabase;
  let test: TestSource;
  const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);
  const names = () => test.source.collections().map(({ name }) => name);

  beforeAll(async () => {
    database = await createApplicationDatabase();
    test = await openTestSource({ url: database.url });
  });

  afterAll(async () => {
    await test.source.close();
    await database.drop();
  });

  const inTransaction = (...statements: readonly string[]) => runInTransaction(database, statements);

  async function untilReset(tenant: string, collection: string, reason: string, times = 1): Promise<void> {
    await until(() => test.sink.resetsOf(tenant, collection, reason) >= times, {
      describe: () => `${reason} of ${collection}: ${JSON.stringify(test.sink.resets)}`,
    });
    expect(test.sink.resetsOf(tenant, collection, reason)).toBe(times);
  }

  describe("collections", () => {
    it("are the tables with a tenant_id column and a primary key, those of later within a second", async () => {
      await query("create schema app");
      await query("create table app.good (id int primary key, tenant_id text)");
      await query("create table good (id int primary key, tenant_id text)");
      await query("create table no_tenant (id int primary key)");
      await query("create table no_key (id int, tenant_id text)");
      await query("create view a_view as select 1 as id, 'a' as tenant_id");
      await query("create temp table temporary (id int primary key, tenant_id text)");
      await until(() => names().includes("good") && names().includes("app.good"));
      for (const other of [
        "no_tenant",
        "no_key",
        "a_view",
        "temporary",
        "outbox",
        "paperdb.outbox",
        "pg_class",
      ]) {
        expect(names()).not.toContain(other);
        await expect(test.watch("a", other)).rejects.toMatchObject({ code: "collection_not_found" });
      }
      expect(await test.source.whyNotCollection("no_tenant")).toMatch(
        /"public.no_tenant" has no tenant_id column/,
      );
      expect(await test.source.whyNotCollection("no_key")).toMatch(/"public.no_key" has no primary key/);
      expect(await test.source.whyNotCollection("nothing")).toBeUndefined();
      expect(await test.source.whyNotCollection("constructor")).toBeUndefined();
    });

    it("can be watched at once when they are new", async () => {
      await query("create table fresh (id int primary key, tenant_id text)");
      await test.watch("a", "fresh");
      await query("insert into fresh values (1, 'a')");
      await test.sink.next("a", "fresh", 1);
    });

    it("are those of the configuration where there is one, without their hidden columns", async () => {
      await query(
        `create table app."Notes" (id int primary key, org uuid, body text, secret text, "a,""b" text)`,
      );
      const org = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
      const collections = {
        notes: { table: "app.Notes", tenantColumn: "org", hide: ["secret", 'a,"b'] },
      };
      const configured = await openTestSource({ url: database.url, collections });
      try {
        expect(configured.source.collections()).toEqual([{ name: "notes" }]);
        await configured.watch(org, "notes");
        await query(`insert into app."Notes" values (1, $1, 'hello', 'hush', 'x')`, [org]);
        const [change] = await configured.sink.next(org, "notes", 1);
        expect(change?.text).toBe(`{"id":1,"org":"${org}","body":"hello"}`);
      } finally {
        await configured.source.close();
      }
    });

    it.each([
      [{ table: "missing" }, /table "missing" of collection "c" does not exist/],
      [{ table: "good", tenantColumn: "org" }, /"public.good" has no org column/],
      [{ table: "no_key" }, /"public.no_key" has no primary key/],
      [{ table: "good", hide: ["secret"] }, /"public.good" has no secret column to hide/],
    ])("are refused at start when the configuration is wrong: %j", async (collection, message) => {
      await expect(openTestSource({ url: database.url, collections: { c: collection } })).rejects.toThrow(
        message,
      );
    });
  });

  describe("changes of a table's definition", () => {
    it("delivers columns that are added, and leaves out those that are dropped, also in a session of before", async () => {
      await query("create table altered (id int primary key, tenant_id text, old int)");
      await test.watch("a", "altered");
      const writer = await database.pool.connect();
      try {
        await writer.query("insert into altered values (1, 'a', 1)");
        await query("alter table altered add column added numeric default 1.5");
        await writer.query("insert into altered values (2, 'a', 1, 2)");
        await query("alter table altered drop column old");
        await query("alter table altered alter column added type text");
        await writer.query("update altered set added = 'text' where id = 2");
      } finally {
        writer.release();
      }
      expect((await test.sink.next("a", "altered", 3)).map(({ text }) => text)).toEqual([
        '{"id":1,"tenant_id":"a","old":1}',
        '{"id":2,"tenant_id":"a","old":1,"added":2}',
        '{"id":2,"tenant_id":"a","added":"text"}',
      ]);
      expect(test.sink.resets).toEqual([]);
    });

    it("resets on TRUNCATE, in its place among the changes", async () => {
      await query("create table truncated (id int primary key, tenant_id text)");
      for (const tenant of ["a", "b"]) await test.watch(tenant, "truncated");
      await query("insert into truncated values (1, 'a')");
      await query("truncate truncated");
      await query("insert into truncated values (2, 'a')");
      await test.sink.next("a", "truncated", 2);
      for (const tenant of ["a", "b"]) await untilReset(tenant, "truncated", "truncated");
      expect(test.sink.positions).toEqual(test.sink.positions.toSorted());
    });

    it("ends a collection whose table is dropped, and takes up one of the same name", async () => {
      await query("create table dropped (id int primary key, tenant_id text)");
      await test.watch("a", "dropped");
      await query("drop table dropped");
      await until(() => test.sink.droppedCollections.includes("dropped"));
      expect(names()).not.toContain("dropped");
      await expect(test.watch("a", "dropped")).rejects.toMatchObject({ code: "collection_not_found" });
      await query("create table dropped (id int primary key, tenant_id text)");
      await test.watch("a", "dropped");
      await query("insert into dropped values (1, 'a')");
      await test.sink.next("a", "dropped", 1);
    });

    it("captures a table that is dropped and created again at once, after a reset", async () => {
      await query("create table recreated (id int primary key, tenant_id text)");
      await test.watch("a", "recreated");
      await query(
        "begin; drop table recreated; create table recreated (id int primary key, tenant_id text); commit",
      );
      await untilReset("a", "recreated", "collection_changed");
      await query("insert into recreated values (1, 'a')");
      await test.sink.next("a", "recreated", 1);
    });

    it("treats a table that is renamed as another one, and never mixes the two", async () => {
      await query("create table before_name (id int primary key, tenant_id text)");
      await test.watch("a", "before_name");
      await query("alter table before_name rename to after_name");
      await until(() => test.sink.droppedCollections.includes("before_name"));
      await query("create table before_name (id int primary key, tenant_id text)");
      await test.watch("a", "before_name");
      await query("insert into after_name values (1, 'a')");
      await query("insert into before_name values (2, 'a')");
      await test.settle(query);
      expect(test.sink.changes("a", "before_name").map(({ id }) => id)).toEqual(["2"]);
      await test.watch("a", "after_name");
      await query("insert into after_name values (3, 'a')");
      expect(await test.sink.next("a", "after_name", 1)).toMatchObject([{ id: "3" }]);
    });

    it.each([
      ["the primary key", "alter table shaped drop constraint shaped_pkey, add primary key (n)", "9"],
      ["the tenant column", "alter table shaped alter column tenant_id type varchar(50)", "1"],
      ["the name of the key's column", "alter table shaped rename column id to key", "1"],
    ])("resets when %s changes, and goes on with the new one", async (_what, change, id) => {
      await query("drop table if exists shaped");
      // Else the change below may come between two looks at the catalog, of which one is the new table's.
      await until(() => !names().includes("shaped"), { describe: "the end of the former table" });
      await query("create table shaped (id int primary key, tenant_id text, n int default 9)");
      await test.watch("a", "shaped");
      const before = test.sink.resetsOf("a", "shaped", "collection_changed");
      const received = test.sink.changes("a", "shaped").length;
      await query(change);
      await untilReset("a", "shaped", "collection_changed", before + 1);
      await query("insert into shaped values (1, 'a', 9)");
      expect((await test.sink.next("a", "shaped", received + 1)).at(-1)).toMatchObject({ id });
    });

    it("ends a collection that loses its tenant column; the application's writes go on", async () => {
      await query("create table orphaned (id int primary key, tenant_id text)");
      await test.watch("a", "orphaned");
      await query("alter table orphaned drop column tenant_id");
      await query("insert into orphaned values (1)");
      await until(() => test.sink.droppedCollections.includes("orphaned"));
      expect(await test.source.whyNotCollection("orphaned")).toMatch(/has no tenant_id column/);
    });
  });

  describe("partitioned tables", () => {
    beforeAll(async () => {
      await query(
        "create table parted (id int, tenant_id text, n int, primary key (id, n)) partition by range (n)",
      );
      await query("create table parted_1 partition of parted for values from (0) to (10)");
      await query(
        "create table parted_2 partition of parted for values from (10) to (20) partition by range (n)",
      );
      await query("create table parted_2a partition of parted_2 for values from (10) to (20)");
    });

    it("are one collection, under the parent's name", async () => {
      await until(() => names().includes("parted"));
      expect(names().filter((name) => name.startsWith("parted"))).toEqual(["parted"]);
      await test.watch("a", "parted");
      await query("insert into parted values (1, 'a', 1), (2, 'a', 11)");
      await query("insert into parted_2a values (3, 'a', 12)");
      await query("update parted set n = 13 where id = 1");
      const changes = await test.sink.next("a", "parted", 5);
      expect(changes.map(({ type, id }) => [type, id])).toEqual([
        ["insert", "[1,1]"],
        ["insert", "[2,11]"],
        ["insert", "[3,12]"],
        ["delete", "[1,1]"],
        ["insert", "[1,13]"],
      ]);
    });

    it("take in a partition that is created or attached later", async () => {
      const before = test.sink.changes("a", "parted").length;
      await query("create table parted_3 partition of parted for values from (20) to (30)");
      await query("insert into parted values (4, 'a', 21)");
      await test.sink.next("a", "parted", before + 1);
      await untilReset("a", "parted", "collection_changed", 1);
      await query("create table parted_4 (id int, tenant_id text, n int not null, primary key (id, n))");
      await test.watch("a", "parted_4");
      await query("insert into parted_4 values (5, 'a', 31)");
      await query("alter table parted attach partition parted_4 for values from (30) to (40)");
      await untilReset("a", "parted", "collection_changed", 2);
      await query("insert into parted values (6, 'a', 32)");
      const changes = await test.sink.next("a", "parted", before + 2);
      expect(changes.at(-1)).toMatchObject({ id: "[6,32]" });
    });

    it("let their owner, who has no other rights, create and attach partitions", async () => {
      const owner = `owner_${database.name}`;
      await query(`create role ${owner}; grant create on schema public to ${owner}`);
      await inTransaction(
        `set local role ${owner}`,
        "create table owned (id int, tenant_id text, primary key (id)) partition by range (id)",
      );
      await test.watch("a", "owned");
      await inTransaction(
        `set local role ${owner}`,
        "create table owned_1 partition of owned for values from (0) to (10)",
        "create table owned_2 (id int primary key, tenant_id text)",
        "alter table owned attach partition owned_2 for values from (10) to (20)",
        "insert into owned values (1, 'a'), (11, 'a')",
      );
      await test.sink.next("a", "owned", 2);
      await query(`drop owned by ${owner}; drop role ${owner}`);
    });

    it("reset when one partition is truncated, detached or dropped", async () => {
      for (const [index, partition] of [
        "parted_1",
        "parted_2a",
        "parted_3",
        "parted_4",
        "parted",
      ].entries()) {
        await query(`truncate ${partition}`);
        await untilReset("a", "parted", "truncated", index + 1);
      }
      const before = test.sink.resetsOf("a", "parted", "collection_changed");
      await query("alter table parted detach partition parted_3");
      await untilReset("a", "parted", "collection_changed", before + 1);
      await query("drop table parted_4");
      await untilReset("a", "parted", "collection_changed", before + 2);
      await until(() => names().includes("parted_3"));
      await inTransaction(
        "alter table parted detach partition parted_1",
        "delete from parted_1",
        "alter table parted attach partition parted_1 for values from (0) to (10)",
      );
      await untilReset("a", "parted", "collection_changed", before + 3);
    });
  });

  describe("installing", () => {
    it("never makes the application wait behind a long transaction, and gets there in the end", async () => {
      await query("create table busy (id int primary key, tenant_id text)");
      const [long, writer] = [await database.pool.connect(), await database.pool.connect()];
      try {
        await long.query("begin");
        await long.query("insert into busy values (1, 'a')");
        // Less than a watch may take, and far more than an attempt, also on a busy machine.
        await writer.query("set statement_timeout = '8s'");
        const watching = test.watch("a", "busy");
        // Every write is either before an attempt or behind one, which ends after lockTimeoutMs.
        for (let id = 2; id < 12; id++) await writer.query("insert into busy values ($1, 'a')", [id]);
        await long.query("commit");
        await watching;
      } finally {
        long.release();
        writer.release(true);
      }
      await query("insert into busy values (100, 'a')");
      expect(await test.sink.next("a", "busy", 1)).toMatchObject([{ id: "100" }]);
    });
  });
}
