import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import type { TestSource } from "../support/postgres-source.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

const MIB = 1024 * 1024;

let database: TestDatabase;
let test: TestSource;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
  await query("create table sized (id int primary key, tenant_id text, body text)");
  test = await openTestSource({ url: database.url });
});

afterAll(async () => {
  await test.source.close();
  await database.drop();
});

function digest(value: unknown): string {
  return createHash("sha256").update(String(value)).digest("hex");
}

/** Text that does not compress and has characters of 1 to 4 bytes, of about so many bytes. */
function text(bytes: number): string {
  const unit = 'aé€🐘"\\\n';
  return unit.repeat(Math.ceil(bytes / Buffer.byteLength(unit))).slice(0, Math.floor(bytes / 2));
}

describe("documents of any size", () => {
  it.each([
    ["around what fits a notification", [7_700, 7_800, 7_850, 7_900, 7_950, 8_000, 8_100]],
    ["that travel in chunks", [5_850, 11_700, 200_000, MIB - 200]],
    ["that travel by the outbox", [MIB, MIB + 1, 3 * MIB]],
  ])("arrive whole and in order: ASCII %s", async (name, sizes) => {
    await test.watch(name, "sized");
    await query("delete from sized");
    for (const [index, size] of sizes.entries()) {
      await query("insert into sized values ($1, $2, $3)", [index, name, "x".repeat(size)]);
    }
    const changes = await test.sink.next(name, "sized", sizes.length);
    expect(changes.map(({ document }) => String(document["body"]).length)).toEqual(sizes);
  });

  it("arrive whole and in order when characters have several bytes, small ones between them", async () => {
    const sizes = [10, 9_000, 10, 250_000, 2.5 * MIB, 10, 700_000];
    await test.watch("multi", "sized");
    await query("delete from sized");
    const bodies = sizes.map(text);
    await query(
      "insert into sized select ordinality, 'multi', body from unnest($1::text[]) with ordinality as t(body, ordinality)",
      [bodies],
    );
    const changes = await test.sink.next("multi", "sized", sizes.length);
    expect(changes.map(({ document }) => digest(document["body"]))).toEqual(bodies.map(digest));
  });

  it("arrive up to 16 MiB, and beyond it the channel is reset; the write succeeds", async () => {
    await test.watch("huge", "sized");
    await query("delete from sized");
    const frame = '{"id":1,"tenant_id":"huge","body":""}'.length;
    await query("insert into sized values (1, 'huge', repeat('x', $1))", [16 * MIB - frame]);
    await query("insert into sized values (2, 'huge', repeat('x', $1))", [16 * MIB - frame + 1]);
    await query("insert into sized values (3, 'huge', 'after')");
    const changes = await test.sink.next("huge", "sized", 2);
    expect(changes.map(({ id, text: json }) => [id, json.length])).toEqual([
      ["1", 16 * MIB],
      ["3", '{"id":3,"tenant_id":"huge","body":"after"}'.length],
    ]);
    expect(test.sink.resetsOf("huge", "sized", "changes_not_sent")).toBe(1);
    expect((await query("select count(*)::int as n from sized")).rows).toEqual([{ n: 3 }]);
  });

  it("keep a document id of any length", async () => {
    await query("create table long_keys (id text primary key, tenant_id text)");
    await test.watch("a", "long_keys");
    const id = text(2_000);
    await query("insert into long_keys values ($1, 'a')", [id]);
    expect(await test.sink.next("a", "long_keys", 1)).toMatchObject([{ id }]);
  });
});

describe("bounds", () => {
  it("sends one lost notice for each channel in place of what a large transaction changes", async () => {
    const bounded = await openTestSource({
      url: database.url,
      settings: { maxNotifyBytesPerTransaction: 100_000 },
    });
    try {
      await query("create table bulk (id serial primary key, tenant_id text, body text)");
      for (const tenant of ["a", "b", "quiet"]) await bounded.watch(tenant, "bulk");
      await query(
        `insert into bulk (tenant_id, body) select case n % 2 when 0 then 'a' else 'b' end, repeat('x', 1000)
         from generate_series(1, 2000) n`,
      );
      await query("insert into bulk (tenant_id, body) values ('a', 'after')");
      await until(() =>
        bounded.sink.changes("a", "bulk").some(({ document }) => document["body"] === "after"),
      );
      for (const tenant of ["a", "b"]) {
        expect(bounded.sink.resetsOf(tenant, "bulk", "changes_not_sent")).toBe(1);
        expect(bounded.sink.changes(tenant, "bulk").length).toBeLessThan(60);
      }
      expect(bounded.sink.resetsOf("quiet", "bulk", "changes_not_sent")).toBe(0);
      expect((await query("select count(*)::int as n from bulk")).rows).toEqual([{ n: 2_001 }]);
    } finally {
      await bounded.source.close();
    }
  });

  it("resets everybody when more waits than may, and goes on", async () => {
    const bounded = await openTestSource({ url: database.url, settings: { maxPendingBytes: 50_000 } });
    try {
      await query("create table pending (id serial primary key, tenant_id text, body text)");
      await bounded.watch("a", "pending");
      // While the outbox row is fetched, what follows has to wait.
      await query(
        "insert into pending (tenant_id, body) select 'a', repeat('x', n) from unnest(array[5000000] || array_fill(5000, array[100])) n",
      );
      await until(() => bounded.sink.resetsOf("a", "pending", "overloaded") > 0);
      await query("insert into pending (tenant_id, body) values ('a', 'after')");
      await until(() =>
        bounded.sink.changes("a", "pending").some(({ document }) => document["body"] === "after"),
      );
      expect(bounded.sink.positions).toEqual(bounded.sink.positions.toSorted());
    } finally {
      await bounded.source.close();
    }
  });

  it("sweeps the outbox some time after a row was committed", async () => {
    const own = await createApplicationDatabase();
    const settings = { outboxRetentionMs: 5_000, catalogPollIntervalMs: 50 };
    const sweeping = await openTestSource({ url: own.url, settings });
    try {
      await own.query("create table swept (id int primary key, tenant_id text, body text)");
      await sweeping.watch("a", "swept");
      await own.query("insert into swept values (1, 'a', repeat('x', 2000000))");
      await sweeping.sink.next("a", "swept", 1);
      expect((await own.query("select from paperdb.outbox")).rowCount).toBe(1);
      await until(async () => (await own.query("select from paperdb.outbox")).rowCount === 0);
    } finally {
      await sweeping.source.close();
      await own.drop();
    }
  });

  it("resets a channel whose document was swept before it could be fetched", async () => {
    await query("create table gone (id int primary key, tenant_id text)");
    await test.watch("a", "gone");
    await query("select pg_notify('flc_rt_' || md5('public.gone:a'), '@999999999')");
    await until(() => test.sink.resetsOf("a", "gone", "change_too_large") === 1);
  });

  it("never lets a write fail because the capture fails: the table's channels are reset", async () => {
    await query("create table fragile (id int primary key, tenant_id text)");
    await test.watch("a", "fragile");
    const client = await database.pool.connect();
    try {
      await client.query("set paperdb.sent = 'not a number'");
      await client.query("insert into fragile values (1, 'a')");
    } finally {
      client.release(true);
    }
    await until(() => test.sink.resetsOf("a", "fragile", "capture_failed") === 1);
    await query("insert into fragile values (2, 'a')");
    expect(await test.sink.next("a", "fragile", 1)).toMatchObject([{ id: "2" }]);
  });
});

describe("paperdb.publish", () => {
  it("publishes with the transaction, in order, exact, whatever the size", async () => {
    const client = await database.pool.connect();
    try {
      await client.query("begin");
      await client.query(`select paperdb.publish('a', 'order.created', '{"id": 9007199254740993}')`);
      await client.query("savepoint s");
      await client.query("select paperdb.publish('a', 'order.never', '1')");
      await client.query("rollback to s");
      await client.query("select paperdb.publish('a', 'order.large', to_jsonb(repeat('x', 1000000)))");
      await client.query("select paperdb.publish('b', 'order.created', 'null')");
      await client.query("commit");
    } finally {
      client.release();
    }
    await test.settle(query);
    const events = test.published.filter(({ topic }) => topic.startsWith("order."));
    expect(events.map(({ tenant, topic, data }) => [tenant, topic, data.length])).toEqual([
      ["a", "order.created", '{"id":"9007199254740993"}'.length],
      ["a", "order.large", 1_000_002],
      ["b", "order.created", 4],
    ]);
  });

  it.each([
    ["''", "'t'", "'1'", /tenant must be 1 to 200 characters/],
    ["repeat('x', 201)", "'t'", "'1'", /tenant must be 1 to 200 characters/],
    ["E'a\\nb'", "'t'", "'1'", /tenant must be/],
    ["null", "'t'", "'1'", /tenant must be/],
    ["'a'", "'order.*'", "'1'", /topic must be at most 256 characters/],
    ["'a'", "''", "'1'", /topic must be/],
    ["'a'", "null", "'1'", /topic must be/],
    ["'a'", "'t'", "null", /data must not be NULL/],
    ["'a'", "'t'", "to_jsonb(repeat('x', 1048576))", /more than the 1048576/],
  ])("refuses tenant %s, topic %s, data %s", async (tenant, topic, data, message) => {
    await expect(query(`select paperdb.publish(${tenant}, ${topic}, ${data})`)).rejects.toThrow(message);
  });

  it("is not for everybody", async () => {
    await query("do $$ begin create role publisher; exception when duplicate_object then null; end $$");
    const client = await database.pool.connect();
    const publish = "select paperdb.publish('a', 'granted', '1')";
    try {
      await client.query("set role publisher");
      await expect(client.query(publish)).rejects.toThrow(/permission denied/);
      await client.query("reset role");
      await client.query("grant usage on schema paperdb to publisher");
      await client.query("grant execute on function paperdb.publish(text, text, jsonb) to publisher");
      await client.query("set role publisher");
      await client.query(publish);
    } finally {
      client.release(true);
    }
    await until(() => test.published.some(({ topic }) => topic === "granted"));
    await query("drop owned by publisher; drop role publisher");
  });
});
