import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestDatabase } from "./postgres.ts";
import { createApplicationDatabase, runInTransaction } from "./postgres-source.ts";
import type { OpenTestSource, TestSource } from "./postgres-source.ts";

/** What every mode of the PostgreSQL source does with changes. */
export function describeChanges(openTestSource: OpenTestSource): void {
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

  const inTransaction = (...statements: readonly string[]) => runInTransaction(database, statements);

  describe("changes", () => {
    it("delivers insert, update and delete with the whole row, to the row's tenant only", async () => {
      await query("create table basic (id int primary key, tenant_id text, title text)");
      await test.watch("a", "basic");
      await test.watch("b", "basic");
      await query(
        "insert into basic values (1, 'a', 'one'), (2, 'b', 'two'), (3, null, 'nobody'), (4, 'c', 'x')",
      );
      await query("update basic set title = 'uno' where id = 1");
      await query("delete from basic where id = 1");
      expect(await test.sink.next("a", "basic", 3)).toMatchObject([
        { type: "insert", id: "1", text: '{"id":1,"tenant_id":"a","title":"one"}' },
        { type: "update", id: "1", text: '{"id":1,"tenant_id":"a","title":"uno"}' },
        { type: "delete", id: "1", text: '{"id":1,"tenant_id":"a","title":"uno"}' },
      ]);
      await test.settle(query);
      expect(test.sink.changes("b", "basic")).toMatchObject([{ type: "insert", id: "2" }]);
      expect(test.sink.events.filter(({ channel }) => !["a", "b"].includes(channel.tenant))).toEqual([]);
    });

    it("gives ascending positions, and from watch one that nothing later precedes", async () => {
      await query("create table placed (id serial primary key, tenant_id text)");
      const since = await test.watch("a", "placed");
      await query("insert into placed (tenant_id) select 'a' from generate_series(1, 50)");
      await test.sink.next("a", "placed", 50);
      expect(test.sink.positions).toEqual(test.sink.positions.toSorted());
      expect(new Set(test.sink.positions).size).toBe(test.sink.positions.length);
      const first = test.sink.events.find(({ channel }) => channel.collection === "placed");
      expect(first !== undefined && first.position > since).toBe(true);
      expect((await test.watch("a", "placed")) >= (test.sink.positions.at(-1) ?? "")).toBe(true);
    });

    it("makes a delete and an insert of a row that moves between tenants", async () => {
      await query("create table moved (id int primary key, tenant_id text, n int)");
      await test.watch("a", "moved");
      await test.watch("b", "moved");
      await query("insert into moved values (1, 'a', 1)");
      await query("update moved set tenant_id = 'b', n = 2");
      await query("update moved set tenant_id = null, n = 3");
      await query("update moved set n = 4");
      await query("update moved set tenant_id = 'a', n = 5");
      await test.settle(query);
      expect(test.sink.changes("a", "moved")).toMatchObject([
        { type: "insert", document: { n: 1 } },
        { type: "delete", document: { tenant_id: "a", n: 1 } },
        { type: "insert", document: { n: 5 } },
      ]);
      expect(test.sink.changes("b", "moved")).toMatchObject([
        { type: "insert", document: { n: 2 } },
        { type: "delete", document: { tenant_id: "b", n: 2 } },
      ]);
    });

    it("makes a delete and an insert of a change of the primary key", async () => {
      await query("create table rekeyed (a int, b text, tenant_id text, primary key (b, a))");
      await test.watch("t", "rekeyed");
      await query(`insert into rekeyed values (1, 'x"y, z', 't')`);
      await query("update rekeyed set a = 2");
      expect(await test.sink.next("t", "rekeyed", 3)).toMatchObject([
        { type: "insert", id: '["x\\"y, z",1]' },
        { type: "delete", id: '["x\\"y, z",1]', document: { a: 1 } },
        { type: "insert", id: '["x\\"y, z",2]', document: { a: 2 } },
      ]);
    });

    it("keeps a large integer exact in a composite key", async () => {
      await query("create table big_keys (a bigint, b int, tenant_id text, primary key (a, b))");
      await test.watch("t", "big_keys");
      await query("insert into big_keys values (9223372036854775807, 1, 't')");
      expect(await test.sink.next("t", "big_keys", 1)).toMatchObject([{ id: '["9223372036854775807",1]' }]);
    });

    it("delivers all of many identical rows and repeated changes of one transaction", async () => {
      await query("create table identical (id int primary key, tenant_id text, n int)");
      await test.watch("a", "identical");
      const toggles = ["insert into identical values (1, 'a', 0)"];
      for (let turn = 0; turn < 20; turn++) {
        toggles.push("delete from identical", "insert into identical values (1, 'a', 0)");
      }
      await inTransaction(...toggles);
      const changes = await test.sink.next("a", "identical", 41);
      expect(changes.filter(({ type }) => type === "insert")).toHaveLength(21);
    });

    it("delivers nothing of what was rolled back, and the rest in order", async () => {
      await query("create table partly (id int primary key, tenant_id text)");
      await test.watch("a", "partly");
      await inTransaction(
        "insert into partly values (1, 'a')",
        "savepoint s",
        "insert into partly values (2, 'a')",
        "rollback to s",
        "insert into partly values (3, 'a')",
        "savepoint s",
        "insert into partly values (4, 'a')",
        "release s",
        "insert into partly values (5, 'a')",
      );
      await inTransaction("insert into partly values (6, 'a')", "rollback", "begin");
      await test.settle(query);
      expect(test.sink.changes("a", "partly").map(({ id }) => id)).toEqual(["1", "3", "4", "5"]);
    });

    it("keeps the order of changes that a trigger of the user's makes of the same row", async () => {
      await query("create table nested (id int primary key, tenant_id text, n int)");
      await query(`create function bump() returns trigger language plpgsql as
      $$ begin if new.n = 1 then update nested set n = 2 where id = new.id; end if; return null; end $$`);
      await query("create trigger a_first after insert on nested for each row execute function bump()");
      await test.watch("a", "nested");
      await query("insert into nested values (1, 'a', 1)");
      expect(await test.sink.next("a", "nested", 2)).toMatchObject([
        { type: "insert", document: { n: 1 } },
        { type: "update", document: { n: 2 } },
      ]);
    });

    it.each([
      ["uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"],
      ["int", "-42"],
      ["bigint", "9223372036854775807"],
      ["varchar(9)", 'it\'s "x"'],
      ["char(3)", "ab"],
    ])("takes a tenant column of type %s", async (type, tenant) => {
      const table = `tenants_${type.replaceAll(/\W/g, "_")}`;
      await query(`create table ${table} (id int primary key, tenant_id ${type})`);
      await test.watch(tenant, table);
      await query(`insert into ${table} values (1, $1)`, [tenant]);
      expect(await test.sink.next(tenant, table, 1)).toMatchObject([{ type: "insert" }]);
    });

    it("compares tenants exactly, also in a column whose collation does not", async () => {
      await query(
        "create collation if not exists ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
      );
      await query("create table collated (id int primary key, tenant_id text collate ignore_case)");
      await test.watch("a", "collated");
      await test.watch("A", "collated");
      await query("insert into collated values (1, 'a')");
      await query("update collated set tenant_id = 'A'");
      await test.settle(query);
      expect(test.sink.changes("a", "collated").map(({ type }) => type)).toEqual(["insert", "delete"]);
      expect(test.sink.changes("A", "collated").map(({ type }) => type)).toEqual(["insert"]);
    });

    it("delivers what is written with session_replication_role = replica", async () => {
      await query("create table replicated (id int primary key, tenant_id text)");
      await test.watch("a", "replicated");
      await inTransaction(
        "set local session_replication_role = replica",
        "insert into replicated values (1, 'a')",
      );
      await test.sink.next("a", "replicated", 1);
    });

    it("delivers what a role without any rights on schema paperdb writes, row-level security or not", async () => {
      await query("create table secured (id int primary key, tenant_id text, big text)");
      await query("alter table secured enable row level security");
      await query("alter table secured force row level security");
      await query("create policy own on secured using (tenant_id = current_setting('app.tenant', true))");
      const writer = `writer_${database.name}`;
      await query(`create role ${writer}; grant insert, update, delete, select on secured to ${writer}`);
      await test.watch("a", "secured");
      await inTransaction(
        `set local role ${writer}`,
        "set local app.tenant = 'a'",
        "insert into secured values (1, 'a', 'small'), (2, 'a', repeat('x', 200000)), (3, 'a', repeat('x', 2000000))",
      );
      const changes = await test.sink.next("a", "secured", 3);
      expect(changes.map(({ document }) => String(document["big"]).length)).toEqual([5, 200_000, 2_000_000]);
      await query(`drop owned by ${writer}; drop role ${writer}`);
    });
  });

  describe("what is received", () => {
    it("tells two channels apart whose names have the same hash", async () => {
      await query('create table "amb" (id int primary key, tenant_id text)');
      await query('create table "amb:b" (id int primary key, tenant_id text)');
      await test.watch("b:c", "amb");
      await test.watch("c", "amb:b");
      await query(`insert into "amb" values (1, 'b:c')`);
      await query(`insert into "amb:b" values (2, 'c')`);
      await test.settle(query);
      expect(test.sink.changes("b:c", "amb").map(({ id }) => id)).toEqual(["1"]);
      expect(test.sink.changes("c", "amb:b").map(({ id }) => id)).toEqual(["2"]);
    });

    it.each([
      ["Mixed Case"],
      ['quo"ted'],
      ["it's"],
      ["a.b.c"],
      ["co:lon"],
      ["st*r"],
      ["naïve 🐘"],
      ["back\\slash"],
      ["x".repeat(63)],
      ["$paperdb$"],
      ["constructor"],
      ["__proto__"],
    ])("takes a table, a key and a tenant named %s", async (name) => {
      const quoted = `"${name.replaceAll('"', '""')}"`;
      await query(`create schema if not exists "Other ""schema"`);
      await query(`create table "Other ""schema".${quoted} (${quoted} text primary key, tenant_id text)`);
      const collection = `Other "schema.${name}`;
      await test.watch(name, collection);
      await query(`insert into "Other ""schema".${quoted} values ($1, $1)`, [name]);
      expect(await test.sink.next(name, collection, 1)).toMatchObject([
        { id: name, document: { tenant_id: name } },
      ]);
    });

    it("stops when the channel is unwatched, and starts again", async () => {
      const own = await openTestSource({ url: database.url });
      try {
        await query("create table paused (id int primary key, tenant_id text)");
        await own.watch("a", "paused");
        await query("insert into paused values (1, 'a')");
        await own.sink.next("a", "paused", 1);
        own.source.unwatch({ tenant: "a", collection: "paused" });
        expect(own.watchedChannels()).toBe(0);
        await own.settle(query);
        await query("insert into paused values (2, 'a')");
        await own.settle(query);
        await own.watch("a", "paused");
        await query("insert into paused values (3, 'a')");
        expect(await own.sink.next("a", "paused", 2)).toMatchObject([{ id: "1" }, { id: "3" }]);
      } finally {
        await own.source.close();
      }
    });

    it("begins again above every position of before: what was not listened to is not complete", async () => {
      const own = await openTestSource({ url: database.url });
      try {
        await query("create table resumed (id int primary key, tenant_id text)");
        const first = await own.watch("a", "resumed");
        await query("insert into resumed values (1, 'a')");
        await own.sink.next("a", "resumed", 1);
        const seen = [first, ...own.sink.positions];
        expect((await own.watch("a", "resumed")) >= (seen.at(-1) ?? "")).toBe(true);
        own.source.unwatch({ tenant: "a", collection: "resumed" });
        await own.settle(query);
        await query("insert into resumed values (2, 'a')");
        const second = await own.watch("a", "resumed");
        expect(seen.filter((position) => position >= second)).toEqual([]);
      } finally {
        await own.source.close();
      }
    });
  });
}
