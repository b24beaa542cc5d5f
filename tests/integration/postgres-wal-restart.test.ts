import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { SourceEvent } from "../../packages/server/src/source/change-source.ts";
import { createApplicationDatabase, runInTransaction } from "../support/postgres-source.ts";
import { createWalSource } from "../support/postgres-wal.ts";
import type { TestWalSource } from "../support/postgres-wal.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let slot = "";
let slots = 0;
const opened: TestWalSource[] = [];
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
});

afterEach(async () => {
  for (const { source } of opened.splice(0)) await source.close();
  await query("drop table if exists todos, notes");
  // The run's server has few of them, and the stream may still be ending.
  await until(async () => {
    const { rowCount } = await query("select from pg_replication_slots where slot_name = $1", [slot]);
    if (rowCount === 0) return true;
    await query(
      "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active",
      [slot],
    );
    return false;
  });
});

afterAll(async () => {
  await database.drop();
});

type Options = Partial<Parameters<typeof createWalSource>[0]>;

/** A server of before, or the next one: it streams from the test's slot. */
async function start(options: Options = {}): Promise<TestWalSource> {
  const test = createWalSource({ url: database.url, slot, ...options });
  opened.push(test);
  await test.source.open();
  await until(() => test.source.state().live, {
    describe: () => JSON.stringify(test.source.state()),
  });
  return test;
}

/** The first server, with a table that it has streamed. */
async function startFirst(options: Options = {}): Promise<TestWalSource> {
  slots += 1;
  slot = `${database.name}_${String(slots)}`;
  await query("create table todos (id int primary key, tenant_id text, n int default 0)");
  const first = await start(options);
  await first.watch("a", "todos");
  return first;
}

const insert = (id: number, tenant = "a") => query("insert into todos values ($1, $2)", [id, tenant]);

const idsOf = (events: readonly SourceEvent[] | undefined) =>
  events?.map(({ body }) => ("documentId" in body ? `${body.type} ${body.documentId}` : ""));

/** What a client of before is told that comes back with a position. */
async function comeBack(test: TestWalSource, since: string, tenant = "a", collection = "todos") {
  const head = await test.watch(tenant, collection);
  return idsOf(await test.source.replay({ tenant, collection }, since, head));
}

describe("after a restart", () => {
  it("clients get exactly what they missed, in order, at the positions of before", async () => {
    const first = await startFirst();
    const since = await first.watch("a", "todos");
    await insert(1);
    await runInTransaction(database, [
      "insert into todos values (2, 'a'), (3, 'b'), (4, 'a')",
      "update todos set n = 1 where id = 1",
    ]);
    await first.settle(query);
    const before = [...first.sink.events];
    await first.source.close();
    await query("update todos set tenant_id = 'b' where id = 4");
    await query("delete from todos where id = 2");
    const second = await start();
    expect(second.source.epoch).toBe(first.source.epoch);
    const head = await second.watch("a", "todos");
    const replayed = await second.source.replay({ tenant: "a", collection: "todos" }, since, head);
    expect(idsOf(replayed)).toEqual(["insert 1", "insert 2", "insert 4", "update 1", "delete 4", "delete 2"]);
    expect(replayed?.slice(0, before.length)).toEqual(before);
    expect(second.sink.events).toEqual([]);
    for (const [index, { position }] of before.entries()) {
      const rest = await second.source.replay({ tenant: "a", collection: "todos" }, position, head);
      expect(rest).toEqual(replayed?.slice(index + 1));
    }
    expect(await comeBack(second, since, "b")).toEqual(["insert 3", "insert 4"]);
    expect(await comeBack(second, since, "c")).toEqual([]);
    await insert(5);
    expect(await second.sink.next("a", "todos", 1)).toMatchObject([{ id: "5" }]);
    expect(await comeBack(second, head)).toEqual(["insert 5"]);
  });

  it("of one that was killed in the middle of a transaction's delivery, the rest of it follows", async () => {
    const first = await startFirst();
    let stopped = false;
    const append = first.sink.append.bind(first.sink);
    first.sink.append = (events) => {
      if (stopped) return new Promise(() => undefined);
      void append(events);
      stopped = first.sink.events.length >= 500;
      return undefined;
    };
    await query("insert into todos select n, 'a' from generate_series(1, 3000) n");
    await until(() => stopped);
    const seen = first.sink.events.length;
    expect(seen).toBeLessThan(3_000);
    await first.source.close();
    const second = await start();
    const missed = await comeBack(second, first.sink.positions.at(-1) ?? "");
    expect(missed).toEqual(Array.from({ length: 3_000 - seen }, (_, n) => `insert ${String(seen + n + 1)}`));
  });

  it("several times in a row, with nobody there, nothing is missed", async () => {
    const first = await startFirst();
    const since = await first.watch("a", "todos");
    await first.source.close();
    for (let id = 1; id <= 3; id++) {
      await insert(id);
      await (await start()).source.close();
    }
    expect(await comeBack(await start(), since)).toEqual(["insert 1", "insert 2", "insert 3"]);
  });

  it("a quiet client's position goes on with the source's, and is good for the next server", async () => {
    const first = await startFirst();
    const early = await first.watch("a", "todos");
    await insert(1, "b");
    await first.settle(query);
    const later = first.source.position() ?? "";
    expect(later > early).toBe(true);
    await first.source.close();
    const second = await start();
    expect(await comeBack(second, later)).toEqual([]);
    expect(second.source.position()?.localeCompare(later)).toBe(1);
  });

  it("what was published in transactions before is not published again", async () => {
    const first = await startFirst();
    await query("select paperdb.publish('a', 'order.created', '1')");
    await first.settle(query);
    await first.source.close();
    const second = await start();
    await second.settle(query);
    expect(second.published.map(({ topic }) => topic)).not.toContain("order.created");
  });
});

describe("the history", () => {
  it("ends with the window's age: the slot follows, and what is older is not known", async () => {
    const short = { settings: { maxHistoryAgeMs: 1, statusIntervalMs: 20 } };
    const first = await startFirst(short);
    const since = await first.watch("a", "todos");
    await insert(1);
    const { rows } = await query("select pg_current_wal_insert_lsn()::text as head");
    await first.settle(query);
    await until(() => confirmedBeyond(String(rows[0]?.["head"])));
    await first.source.close();
    const second = await start();
    expect(await comeBack(second, since)).toBeUndefined();
  });

  it("is bounded in bytes of the database's log, whatever is written to other tables", async () => {
    const first = await startFirst({
      settings: { maxHistoryLogBytes: 1_000_000, statusIntervalMs: 20, catalogPollIntervalMs: 50 },
    });
    await query("create table notes (body text)");
    for (let round = 0; round < 8; round++) {
      await query("insert into notes select repeat('x', 1000) from generate_series(1, 1000)");
      // One checkpoint of the window for each.
      await first.settle(query);
    }
    await until(async () => (await lagBytes()) < 2_000_000, { describe: "a lag of the window" });
    expect(await lagBytes()).toBeGreaterThan(100_000);
  });

  it("is bounded in bytes of memory, and the slot follows", async () => {
    const first = await startFirst({ settings: { maxHistoryBytes: 100_000, statusIntervalMs: 20 } });
    const since = await first.watch("a", "todos");
    const { rows } = await query("select pg_current_wal_insert_lsn()::text as start");
    for (let round = 0; round < 10; round++) {
      await query("insert into todos select n, 'b' from generate_series($1::int, $1::int + 99) n", [
        round * 100,
      ]);
    }
    await first.settle(query);
    expect(await comeBack(first, since)).toBeUndefined();
    await until(() => confirmedBeyond(String(rows[0]?.["start"])));
  });

  it("is no reason for a database that shuts down to wait", async () => {
    const first = await startFirst({ settings: { statusIntervalMs: 50 } });
    await insert(1);
    await first.settle(query);
    // What a fast shutdown, and a commit that waits for standbys, look at.
    await until(async () => {
      const { rows } = await query(
        `select write_lsn >= sent_lsn as written, flush_lsn is null as unflushed from pg_stat_replication r
         join pg_replication_slots s on s.active_pid = r.pid where s.slot_name = $1`,
        [slot],
      );
      return rows[0]?.["written"] === true && rows[0]["unflushed"] === true;
    });
    expect(await lagBytes()).toBeGreaterThan(0);
  });
});

describe("what happened while no server ran", () => {
  const cases: [string, readonly string[]][] = [
    ["another key", ["alter table todos drop constraint todos_pkey, add primary key (id, n)"]],
    [
      "another table of the name",
      ["drop table todos", "create table todos (id int primary key, tenant_id text)"],
    ],
    [
      "a table that left the publication and came back",
      ["alter publication SLOT drop table todos", "alter publication SLOT add table todos"],
    ],
    ["a truncation", ["truncate todos"]],
  ];
  it("a publication that did without updates for a while resets", async () => {
    const first = await startFirst();
    const since = await first.watch("a", "todos");
    await insert(1);
    await first.settle(query);
    await first.source.close();
    await query(`alter publication ${slot} set (publish = 'insert')`);
    await query("update todos set n = 1");
    await query(`alter publication ${slot} set (publish = 'insert, update, delete, truncate')`);
    const second = await start();
    expect(await comeBack(second, since)).toBeUndefined();
  });

  it.each(cases)("%s resets its clients only", async (_, statements) => {
    const first = await startFirst();
    await query("create table notes (id int primary key, tenant_id text)");
    await first.watch("a", "notes");
    const since = await first.watch("a", "todos");
    await insert(1);
    await query("insert into notes values (1, 'a')");
    await first.settle(query);
    await first.source.close();
    for (const statement of statements) await query(statement.replace("SLOT", slot));
    const second = await start();
    expect(second.source.epoch).toBe(first.source.epoch);
    expect(await comeBack(second, since)).toBeUndefined();
    expect(await comeBack(second, since, "a", "notes")).toEqual(["insert 1"]);
    // And the server after that knows of it as well.
    await second.source.close();
    const third = await start();
    expect(await comeBack(third, since)).toBeUndefined();
    expect(await comeBack(third, since, "a", "notes")).toEqual(["insert 1"]);
  });

  it("other columns to hide, or another tenant column, resets", async () => {
    const collections = { todos: { table: "public.todos", tenantColumn: "tenant_id" } };
    await query("drop table if exists public.todos");
    slots += 1;
    slot = `${database.name}_${String(slots)}`;
    await query("create table todos (id int primary key, tenant_id text, n int default 0)");
    const { rows } = await query(
      "select relnamespace::regnamespace::text as schema from pg_class where oid = 'todos'::regclass",
    );
    const table = `${String(rows[0]?.["schema"])}.todos`;
    const first = await start({ collections: { todos: { ...collections.todos, table } } });
    const since = await first.watch("a", "todos");
    await insert(1);
    await first.settle(query);
    await first.source.close();
    const second = await start({ collections: { todos: { ...collections.todos, table, hide: ["n"] } } });
    expect(await comeBack(second, since)).toBeUndefined();
  });

  it.each([
    [
      "made again",
      ["select pg_drop_replication_slot($1)", "select pg_create_logical_replication_slot($1, 'pgoutput')"],
    ],
    ["moved on", ["select pg_replication_slot_advance($1, pg_current_wal_lsn())"]],
  ])("a slot that was %s by hand is noticed: another epoch", async (_, statements) => {
    const first = await startFirst();
    await insert(1);
    await first.settle(query);
    const { epoch } = first.source;
    await first.source.close();
    await insert(2);
    // The stream may still be ending.
    await until(async () => {
      const idle = "select from pg_replication_slots where slot_name = $1 and not active";
      return (await query(idle, [slot])).rowCount === 1;
    });
    for (const statement of statements) await query(statement, [slot]);
    const second = await start();
    expect(second.source.epoch).not.toBe(epoch);
    await second.watch("a", "todos");
    await insert(3);
    expect(await second.sink.next("a", "todos", 1)).toMatchObject([{ id: "3" }]);
    await second.source.close();
    expect((await start()).source.epoch).toBe(second.source.epoch);
  });
});

it("goes on where it was when another server had the slot for a moment: nothing is missed or repeated", async () => {
  const first = await startFirst({ settings: { minReconnectMs: 5_000, maxReconnectMs: 5_000 } });
  const second = createWalSource({
    url: database.url,
    slot,
    settings: { slotRetryMs: 20, openWaitMs: 0 },
  });
  opened.push(second);
  await second.source.open();
  await insert(1);
  await first.sink.next("a", "todos", 1);
  await query(
    "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1 and active_pid is not null",
    [slot],
  );
  await until(() => second.source.state().live);
  await insert(2);
  await second.settle(query);
  await second.source.close();
  await until(() => first.sink.events.length > 1);
  await insert(3);
  await until(() => first.sink.events.length > 2);
  expect(idsOf(first.sink.events)).toEqual(["insert 1", "insert 2", "insert 3"]);
  expect(first.sink.resets).toEqual([]);
});

async function confirmedBeyond(lsn: string): Promise<boolean> {
  const { rows } = await query(
    "select confirmed_flush_lsn >= $2::pg_lsn as beyond from pg_replication_slots where slot_name = $1",
    [slot, lsn],
  );
  return rows[0]?.["beyond"] === true;
}

async function lagBytes(): Promise<number> {
  const { rows } = await query(
    "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::float8 as bytes from pg_replication_slots where slot_name = $1",
    [slot],
  );
  return Number(rows[0]?.["bytes"]);
}
