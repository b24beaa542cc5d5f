import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { whyNotEncodable } from "../../packages/server/src/source/postgres/wal/encodable.ts";
import type { RowRules } from "../../packages/server/src/source/postgres/wal/encodable.ts";
import { nextValue, UNCHANGED_TOAST } from "../../packages/server/src/source/postgres/wal/tuple.ts";
import type { Tuple } from "../../packages/server/src/source/postgres/wal/tuple.ts";
import { TypeCatalog } from "../../packages/server/src/source/postgres/wal/type-catalog.ts";
import { fetchColumnTypes } from "../../packages/server/src/source/postgres/wal/type-query.ts";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import type { TestSource } from "../support/postgres-source.ts";
import { openWalSource } from "../support/postgres-wal.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";
import { fetchVersion, openWalReader } from "../support/wal-reader.ts";
import type { WalReader } from "../support/wal-reader.ts";

let database: TestDatabase;
let test: TestSource | undefined;
let reader: WalReader | undefined;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeEach(async () => {
  database = await createApplicationDatabase();
});

afterEach(async () => {
  await test?.source.close();
  await reader?.close();
  test = undefined;
  reader = undefined;
  await database.drop();
});

/** What has notify and the wal decoder watch the same tables. */
async function open(
  tables: readonly string[],
  hide: readonly string[] = [],
): Promise<{ readonly test: TestSource; readonly reader: WalReader }> {
  const collections = Object.fromEntries(tables.map((table) => [table, { table, hide }]));
  test = await openTestSource({ url: database.url, ...(hide.length > 0 && { collections }) });
  reader = await openWalReader(database, tables);
  return { test, reader };
}

const rules = (primaryKey: readonly string[], hidden: readonly string[] = []): RowRules => ({
  tenantColumn: "tenant_id",
  primaryKey,
  hidden: new Set(hidden),
});

describe("keys and tenants", () => {
  it.each([
    ["bool", "true"],
    ["char(5)", "'a b'"],
    ["varchar", "'a \"b\"'"],
    ["name", "'some name'"],
    [`"char"`, "'x'"],
    ["inet", "'10.0.0.1'"],
    ["inet", "'::1'"],
    ["inet", "'10.0.0.1/8'"],
    ["cidr", "'10.0.0.0/8'"],
    ["int8", "9007199254740993"],
    ["numeric", "1.50"],
    ["numeric", "'NaN'"],
    ["float8", "'-0'"],
    ["float8", "1e300"],
    ["timestamptz", "'2026-02-03 04:05:06+02'"],
    ["timestamp", "'0044-03-15 04:05:06 BC'"],
    ["date", "'infinity'"],
    ["interval", "'1 day 2 hours'"],
    ["uuid", "'6f9619ff-8b86-d011-b42d-00cf4fc964ff'"],
    ["bytea", "'\\x00ff'"],
    ["money", "1.5::numeric::money"],
    ["oid", "4294967295"],
    ["bit(3)", "'101'"],
    ["macaddr", "'08:00:2b:01:02:03'"],
    ["int4range", "'[1,5)'"],
    ["jsonb", `'{"b": 1, "a": [1, 2]}'`],
    ["text[]", `'{a,NULL,"b c"}'`],
    ["bool[]", "'{t,f}'"],
    ["mood", "'so so'"],
    ["flag", "false"],
    ["padded", "'a'"],
    ["pair", "row(1, 'a b')::pair"],
  ])("of type %s are the same text as for notify: %s", async (type, value) => {
    await query("create type mood as enum ('so so')");
    await query("create domain flag as bool");
    await query("create domain padded as char(4)");
    await query("create type pair as (a int, b text)");
    await query(`create table alone (id ${type} primary key, tenant_id ${type})`);
    await query(`create table composed (n int, id ${type}, tenant_id ${type}, primary key (id, n))`);
    const opened = await open(["alone", "composed"]);
    const tenant = (await query(`select (${value})::${type}::text as tenant`)).rows[0]?.["tenant"] as string;
    await opened.test.watch(tenant, "alone");
    await opened.test.watch(tenant, "composed");
    for (const statement of [
      `insert into alone values (${value}, ${value})`,
      `insert into composed values (1, ${value}, ${value})`,
      "update composed set n = n",
      "delete from composed",
    ]) {
      await query(statement);
    }
    const [alone] = await opened.test.sink.next(tenant, "alone", 1);
    const composed = await opened.test.sink.next(tenant, "composed", 3);
    const messages = await opened.reader.messages();
    expect(opened.reader.decode(messages, rules(["id"]), "alone")).toEqual([
      { type: "insert", tenant, id: alone?.id, text: alone?.text },
    ]);
    expect(opened.reader.decode(messages, rules(["id", "n"]), "composed")).toEqual(
      composed.map(({ type: kind, id, text }) => ({ type: kind, tenant, id, text })),
    );
  });
});

describe("columns", () => {
  it("have names of every kind, and some are hidden", async () => {
    const hidden = ['hidden "x"', "secret"];
    await query(`create table named ("id" int, tenant_id text, "a ""b"" \\ 'c'" text, "hidden ""x""" text, "naïve 🐘" text,
      "select" int generated by default as identity, "new
line" text, "${"n".repeat(63)}" text, secret text, "__proto__" text, primary key (id, "naïve 🐘"))`);
    const opened = await open(["named"], hidden);
    await opened.test.watch("t", "named");
    const values = ["a", "hidden", "é", "new", "n", "hidden", "proto"];
    await query(`insert into named values (1, 't', $1, $2, $3, default, $4, $5, $6, $7)`, values);
    await query("update named set secret = 'other'");
    const notified = await opened.test.sink.next("t", "named", 2);
    const decoded = await opened.reader.changes(rules(["id", "naïve 🐘"], hidden));
    expect(decoded).toEqual(notified.map(({ type, id, text }) => ({ type, tenant: "t", id, text })));
    expect(decoded[0]?.text).not.toContain("hidden");
  });

  it("may be 1,600", async () => {
    const columns = Array.from({ length: 1_598 }, (_, index) => `c${String(index)} int`).join(", ");
    await query(`create table widest (id int primary key, tenant_id text, ${columns})`);
    const opened = await open(["widest"]);
    await opened.test.watch("t", "widest");
    await query(
      `insert into widest values (1, 't', ${Array.from({ length: 1_598 }, (_, index) => index).join(", ")})`,
    );
    await query("update widest set c0 = null");
    await query("delete from widest");
    const notified = await opened.test.sink.next("t", "widest", 3);
    const decoded = await opened.reader.changes(rules(["id"]));
    expect(decoded.map(({ text }) => text)).toEqual(notified.map(({ text }) => text));
    expect(decoded[0]?.text).toContain('"c1597":1597}');
  });

  it("come, go and change their types between rows", async () => {
    await query("create table altered (id int primary key, gone text, tenant_id text, body text)");
    const opened = await open(["altered"]);
    await opened.test.watch("t", "altered");
    for (const statement of [
      "insert into altered values (1, 'x', 't', '12')",
      "alter table altered drop column gone",
      "insert into altered values (2, 't', '34')",
      "alter table altered add column extra jsonb default '{\"a\": 1}'",
      "update altered set body = body",
      "alter table altered rename column extra to other",
      "alter table altered alter column body type int using body::int",
      "update altered set body = body + 1",
      "delete from altered",
    ]) {
      await query(statement);
    }
    const notified = await opened.test.sink.next("t", "altered", 8);
    const decoded = await opened.reader.changes(rules(["id"]));
    expect(decoded.map(({ type, id, text }) => [type, id, text])).toEqual(
      notified.map(({ type, id, text }) => [type, id, text]),
    );
  });

  it("that are generated and stored are there from PostgreSQL 18 on", async () => {
    const isSent = (await fetchVersion(database)) >= 180_000;
    await query(
      "create table generated (id int primary key, tenant_id text, n int, more int generated always as (n + 1) stored)",
    );
    const opened = await open(["generated"], isSent ? [] : ["more"]);
    await opened.test.watch("t", "generated");
    await query("insert into generated values (1, 't', 5)");
    await query("update generated set n = 6");
    await query("delete from generated");
    const notified = await opened.test.sink.next("t", "generated", 3);
    const decoded = await opened.reader.changes(rules(["id"]));
    expect(decoded.map(({ text }) => text)).toEqual(notified.map(({ text }) => text));
    expect(decoded[0]?.text.includes('"more":6')).toBe(isSent);
    const problem = await whyNot(opened.reader, "generated", rules(["id"]));
    if (isSent) expect(problem).toBeUndefined();
    else {
      expect(problem).toBe(
        'The generated column "more" of the table "public.generated" is not in the replication stream before PostgreSQL 18: hide it, or use notify mode.',
      );
    }
    expect(await whyNot(opened.reader, "generated", rules(["id"], ["more"]))).toBeUndefined();
  });

  it("that are virtual keep a table out, since its writers would fail", async () => {
    if ((await fetchVersion(database)) < 180_000) return;
    await query(
      "create table virtual (id int primary key, tenant_id text, n int generated always as (id + 1) virtual)",
    );
    const opened = await open(["virtual"], ["n"]);
    expect(await whyNot(opened.reader, "virtual", rules(["id"], ["n"]))).toMatch(
      /^The table "public.virtual" has the virtual generated column "n", with which/,
    );
    // When PostgreSQL takes this, such tables can be let in.
    await query("insert into virtual values (1, 't')");
    await expect(query("update virtual set tenant_id = 'u'")).rejects.toThrow("cannot update table");
    await expect(query("delete from virtual")).rejects.toThrow("cannot delete from table");
  });

  it("that become virtual take a published table out again, watched or not", async () => {
    if ((await fetchVersion(database)) < 180_000) return;
    for (const table of ["one", "two"])
      await query(`create table ${table} (id int primary key, tenant_id text)`);
    const wal = await openWalSource({ url: database.url });
    try {
      await wal.watch("t", "one");
      await wal.watch("t", "two");
      wal.source.unwatch({ tenant: "t", collection: "two" });
      for (const table of ["one", "two"]) {
        await query(`insert into ${table} values (1, 't')`);
        await query(`alter table ${table} add column n int generated always as (id + 1) virtual`);
        await until(
          () =>
            query(`update ${table} set id = 1`).then(
              () => true,
              () => false,
            ),
          { describe: `writes of ${table}` },
        );
      }
      await until(() => wal.sink.droppedCollections.includes("one"), {
        describe: "the end of subscriptions",
      });
      await expect(wal.watch("t", "one")).rejects.toThrow("virtual generated column");
      await query("delete from one");
      await query("alter table one drop column n");
      await wal.watch("t", "one");
      await query("insert into one values (2, 't')");
      await until(() => wal.sink.changes("t", "one").some(({ id }) => id === "2"), { describe: "changes" });
    } finally {
      await wal.source.close();
    }
  });

  it("that are large and were not changed come from the row before", async () => {
    await query(
      "create table large (id int primary key, tenant_id text, body text, data jsonb, list text[], n int)",
    );
    for (const column of ["body", "data", "list"]) {
      await query(`alter table large alter column ${column} set storage external`);
    }
    const opened = await open(["large"]);
    await opened.test.watch("t", "large");
    await query(`insert into large select 1, 't', repeat('naïve "x" ', 1000),
      (select jsonb_object_agg(n, n) from generate_series(1, 1000) n), (select array_agg(n::text) from generate_series(1, 1000) n), 1`);
    await query("update large set n = 2");
    await query("update large set body = 'short'");
    await query("update large set n = 3, id = 2");
    const notified = await opened.test.sink.next("t", "large", 5);
    const messages = await opened.reader.messages();
    const [, change] = messages.filter(({ kind }) => kind === "insert" || kind === "update");
    // Without this, the test says nothing.
    expect(change?.kind === "update" && unchangedValues(change.row, 6)).toBe(3);
    const decoded = opened.reader.decode(messages, rules(["id"]), "large");
    expect(decoded.map(({ text }) => text)).toEqual(
      notified.filter(({ type }) => type !== "delete").map(({ text }) => text),
    );
  });
});

describe("types", () => {
  it("are asked for again when they are altered", async () => {
    await query("create type part as (a int, b text)");
    await query(
      "create table parts (id int primary key, tenant_id text, part part, parts part[], plain text)",
    );
    const opened = await open(["parts"]);
    await opened.test.watch("t", "parts");
    await query("insert into parts values (1, 't', row(1, 'x'), array[row(2, 'y')::part], '')");
    expect((await opened.reader.changes(rules(["id"])))[0]?.text).toContain('"part":{"a":1,"b":"x"}');
    expect(await opened.reader.types.refresh()).toEqual(new Set());

    await query("alter type part add attribute c bool");
    await query("update parts set part.c = true");
    const messages = await opened.reader.messages();
    // What is known of the type is of before, and that is noticed.
    expect(() => opened.reader.decode(messages, rules(["id"]), "parts")).toThrow("type_changed");
    const oids = await query(
      "select 'part'::regtype::oid::int as part, 'part[]'::regtype::oid::int as parts",
    );
    expect(await opened.reader.types.refresh()).toEqual(new Set(Object.values(oids.rows[0] ?? {})));
    const [insert, update] = await opened.test.sink.next("t", "parts", 2);
    expect(insert?.text).not.toBe(update?.text);
    expect(opened.reader.decode(messages, rules(["id"]), "parts").map(({ text }) => text)).toEqual([
      update?.text,
    ]);

    await query("alter type part rename attribute a to renamed");
    expect((await opened.reader.types.refresh()).size).toBe(2);
  });

  it("with a cast to json of their own are refused, before the table is added", async () => {
    await query("create type mood as enum ('so so')");
    await query(
      `create function mood_to_json(mood) returns json language sql immutable as $$ select '{"mood":1}'::json $$`,
    );
    await query("create cast (mood as json) with function mood_to_json(mood)");
    await query("create domain state as mood");
    await query(
      "create table moody (id int primary key, tenant_id text, dropped int, states state[], n int)",
    );
    await query("alter table moody drop column dropped");
    const opened = await open(["moody"]);
    expect(await whyNot(opened.reader, "moody", rules(["id"]))).toBe(
      'The column "states" of the table "public.moody" cannot be delivered in wal mode: its type mood has a cast to json of its own. Hide it, or use notify mode.',
    );
    expect(await whyNot(opened.reader, "moody", rules(["id"], ["states"]))).toBeUndefined();
    await query("insert into moody values (1, 't', '{so so}', 1)");
    const described = (await opened.reader.messages()).find((message) => message.kind === "relation");
    const columns = await fetchColumnTypes(database.pool, await oidOf("moody"));
    expect(described?.kind === "relation" && described.relation.columns).toEqual(
      columns.map(({ name, typeOid }) => ({ name, typeOid })),
    );
  });

  it("are forgotten when they are too many, and found again", async () => {
    const types = new TypeCatalog(database, 3);
    const typeOids = [20, 21, 23, 25, 700, 701, 1700];
    for (const typeOid of typeOids) {
      await types.load([{ typeOid }]);
      expect(types.get(typeOid).value.kind).not.toBe("unsupported");
    }
    expect(types.has(typeOids.map((typeOid) => ({ typeOid })))).toBe(false);
    await types.load(typeOids.map((typeOid) => ({ typeOid })));
    expect(types.has(typeOids.map((typeOid) => ({ typeOid })))).toBe(true);
  });
});

/** How many of a row's first columns were not sent, since they did not change. */
function unchangedValues({ bytes, start }: Tuple, columns: number): number {
  let count = 0;
  for (let offset = start, left = columns; left > 0; left--) {
    if (bytes[offset] === UNCHANGED_TOAST) count += 1;
    offset = nextValue(bytes, offset);
  }
  return count;
}

async function oidOf(table: string): Promise<number> {
  const result = await query("select $1::regclass::oid::int as oid", [table]);
  return result.rows[0]?.["oid"] as number;
}

/** What is asked before a table is published. */
async function whyNot(from: WalReader, table: string, asked: RowRules): Promise<string | undefined> {
  const columns = await fetchColumnTypes(database.pool, await oidOf(table));
  await from.types.load(columns);
  return whyNotEncodable({ schema: "public", name: table, columns }, asked, from.types);
}
