import { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createApplicationDatabase } from "../support/postgres-source.ts";
import { startMisbehavingProxy } from "../support/postgres-source-proxy.ts";
import { createWalSource } from "../support/postgres-wal.ts";
import type { TestWalSource } from "../support/postgres-wal.ts";
import { startPostgres } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
const opened: TestWalSource[] = [];
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
  await query("create table todos (id int primary key, tenant_id text)");
});

afterEach(async () => {
  for (const { source } of opened.splice(0)) await source.close();
  await query("truncate todos");
});

afterAll(async () => {
  await database.drop();
});

async function open(options: Partial<Parameters<typeof createWalSource>[0]> = {}): Promise<TestWalSource> {
  const test = createWalSource({ url: database.url, ...options });
  opened.push(test);
  await test.source.open();
  await untilLive(test);
  // Whoever subscribed to topics before is told, on a machine that is so slow that there could be any.
  test.lostTopics.splice(0);
  return test;
}

async function untilLive({ source }: TestWalSource): Promise<void> {
  await until(() => source.state().live, {
    describe: () => JSON.stringify(source.state()),
  });
}

/** Whatever the source does, its stream is cut off once: it may not have noticed yet that the one before was. */
async function terminateStream(slot: string): Promise<void> {
  await until(
    async () => {
      const { rowCount } = await query(
        "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1 and active_pid is not null",
        [slot],
      );
      return rowCount === 1;
    },
    { describe: `a stream of ${slot}` },
  );
}

const idsOf = (test: TestWalSource, tenant = "a") => test.sink.changes(tenant, "todos").map(({ id }) => id);

describe("an outage", () => {
  it("of the stream costs nothing: what was committed meanwhile arrives once, in order, without a reset", async () => {
    const test = await open({ slot: "cut_off" });
    await test.watch("a", "todos");
    const epoch = test.source.epoch;
    let id = 0;
    for (let round = 0; round < 3; round++) {
      await query("insert into todos values ($1, 'a')", [(id += 1)]);
      await terminateStream("cut_off");
      await query("insert into todos values ($1, 'a')", [(id += 1)]);
      await untilLive(test);
    }
    await test.settle(query);
    expect(idsOf(test)).toEqual(["1", "2", "3", "4", "5", "6"]);
    expect(test.sink.resets).toEqual([]);
    expect(test.lostTopics).toEqual([]);
    expect(test.source.epoch).toBe(epoch);
    expect(test.sink.positions).toEqual(test.sink.positions.toSorted());
  });

  it("in the middle of a transaction repeats nothing of it", async () => {
    const test = await open({ slot: "half_way" });
    await test.watch("a", "todos");
    let received = 0;
    let cut: Promise<void> | undefined;
    const append = test.sink.append.bind(test.sink);
    test.sink.append = (events) => {
      void append(events);
      received += events.length;
      if (received >= 2_000) cut ??= terminateStream("half_way");
      // Slowly, so that the rest of the transaction is still on its way.
      return new Promise<void>((resolve) => {
        setTimeout(resolve, 2);
      });
    };
    await query("insert into todos select n, 'a' from generate_series(1, 20000) n");
    await until(() => test.sink.events.length >= 20_000);
    await cut;
    await test.settle(query);
    expect(idsOf(test)).toEqual(Array.from({ length: 20_000 }, (_, index) => String(index + 1)));
    expect(test.sink.positions).toEqual(test.sink.positions.toSorted());
    expect(new Set(test.sink.positions).size).toBe(20_000);
    expect(test.sink.resets).toEqual([]);
  });

  it("of the whole server, killed while it is written to, loses nothing that was committed", async () => {
    const server = await startPostgres();
    const test = createWalSource({ url: server.url, settings: { maxReconnectMs: 300 } });
    try {
      await runOn(server.url, "create table public.todos (id int primary key, tenant_id text)");
      await test.source.open();
      await untilLive(test);
      await test.watch("a", "todos");
      const writing = writeUntilKilled(server.url);
      await until(() => test.sink.events.length > 100);
      await server.kill();
      await writing;
      await until(() => !test.source.state().live);
      await expect(test.watch("b", "todos")).rejects.toMatchObject({ code: "source_unavailable" });
      await server.start();
      await untilLive(test);
      await runOn(server.url, "insert into public.todos values (0, 'a')");
      await until(() => idsOf(test).includes("0"));
      const committed = await runOn(
        server.url,
        "select id::text from public.todos t order by t.id = 0, t.id",
      );
      expect(idsOf(test)).toEqual(committed);
      expect(test.sink.resets).toEqual([]);
    } finally {
      await test.source.close();
      await server.stop();
    }
  });

  it("that no one announces is noticed, and then the stream goes on", async () => {
    const proxy = await startMisbehavingProxy(database.url);
    try {
      const test = await open({
        url: proxy.url,
        settings: {
          statusIntervalMs: 50,
          probeTimeoutMs: 3_000,
          connectTimeoutMs: 3_000,
          maxReconnectMs: 200,
          slotRetryMs: 100,
          senderTimeoutMs: 3_000,
        },
      });
      await test.watch("a", "todos");
      proxy.freeze();
      await until(() => !test.source.state().live);
      await query("insert into todos values (1, 'a')");
      proxy.thaw();
      await untilLive(test);
      await test.sink.next("a", "todos", 1);
      expect(test.sink.resets).toEqual([]);
    } finally {
      await proxy.close();
    }
  });
});

describe("the slot", () => {
  it("is made anew when it was dropped, with another epoch, and all are reset", async () => {
    const test = await open({ slot: "dropped", settings: { minReconnectMs: 1, maxReconnectMs: 50 } });
    await test.watch("a", "todos");
    await query("insert into todos values (1, 'a')");
    await test.sink.next("a", "todos", 1);
    const epoch = test.source.epoch;
    await dropUnderneath("dropped");
    await until(() => test.source.stats().slotsLost > 0 && test.source.state().live);
    expect(test.sink.resets).toEqual([{ channels: "all", reason: "slot_lost" }]);
    expect(test.lostTopics).toEqual(["slot_lost"]);
    expect(test.source.epoch).not.toBe(epoch);
    await query("insert into todos values (2, 'a')");
    await test.sink.next("a", "todos", 2);
    expect(test.sink.positions).toEqual(test.sink.positions.toSorted());
  });

  it("is made anew when the database has removed what it kept", async () => {
    const server = await startPostgres({ settings: { max_slot_wal_keep_size: "1MB" } });
    const first = createWalSource({ url: server.url, slot: "left_behind" });
    const second = createWalSource({ url: server.url, slot: "left_behind" });
    try {
      await runOn(server.url, "create table public.todos (id int primary key, tenant_id text)");
      await first.source.open();
      await untilLive(first);
      const { epoch } = first.source;
      await first.source.close();
      for (let round = 0; round < 4; round++) {
        await runOn(
          server.url,
          "select pg_logical_emit_message(false, 'x', repeat('x', 1000000)); select pg_switch_wal()",
        );
      }
      await runOn(server.url, "checkpoint");
      expect(await runOn(server.url, "select wal_status from pg_replication_slots")).toEqual(["lost"]);
      await second.source.open();
      await untilLive(second);
      expect(first.source.stats().slotsLost).toBe(0);
      expect(second.source.stats().slotsLost).toBe(1);
      expect(second.source.epoch).not.toBe(epoch);
      await second.watch("a", "todos");
      await runOn(server.url, "insert into public.todos values (1, 'a')");
      await second.sink.next("a", "todos", 1);
    } finally {
      await first.source.close();
      await second.source.close();
      await server.stop();
    }
  });

  it("is waited for while another server uses it, and taken over when that one ends", async () => {
    const first = await open({ slot: "shared" });
    const second = createWalSource({
      url: database.url,
      slot: "shared",
      settings: { slotRetryMs: 100, openWaitMs: 0 },
    });
    opened.push(second);
    await second.source.open();
    await until(() => {
      const state = second.source.state();
      return !state.live && state.reason.includes("in use by another server");
    });
    await expect(second.watch("a", "todos")).rejects.toMatchObject({ code: "source_unavailable" });
    await first.watch("a", "todos");
    await query("insert into todos values (1, 'a')");
    await first.sink.next("a", "todos", 1);
    await query("select paperdb.publish('a', 'order.created', '1')");
    await first.source.close();
    await untilLive(second);
    // What was published while it waited was not sent to its subscribers of topics.
    expect(second.published).toEqual([]);
    expect(second.lostTopics).toEqual(["source_reconnected"]);
    expect(second.source.epoch).toBe(first.source.epoch);
    await second.watch("a", "todos");
    await query("insert into todos values (2, 'a')");
    expect(await second.sink.next("a", "todos", 1)).toMatchObject([{ id: "2" }]);
    expect((second.sink.positions[0] ?? "") > (first.sink.positions.at(-1) ?? "")).toBe(true);
  });

  it("that another server had meanwhile, for longer than the history, resets: what that one has taken is gone", async () => {
    const first = await open({
      slot: "passed_on",
      settings: { minReconnectMs: 5_000, maxReconnectMs: 5_000 },
    });
    await first.watch("a", "todos");
    const second = createWalSource({
      url: database.url,
      slot: "passed_on",
      settings: { slotRetryMs: 20, openWaitMs: 0, maxHistoryAgeMs: 1, statusIntervalMs: 20 },
    });
    opened.push(second);
    await second.source.open();
    await terminateStream("passed_on");
    await untilLive(second);
    await query("insert into todos values (1, 'a')");
    const { rows } = await query("select pg_current_wal_insert_lsn()::text as head");
    await second.settle(query);
    await until(async () => {
      const confirmed = await query(
        "select confirmed_flush_lsn >= $1::pg_lsn as beyond from pg_replication_slots where slot_name = 'passed_on'",
        [rows[0]?.["head"]],
      );
      return confirmed.rows[0]?.["beyond"] === true;
    });
    await second.source.close();
    await until(() => first.sink.resets.length > 0);
    expect(first.sink.resets).toEqual([{ channels: "all", reason: "source_reconnected" }]);
    expect(first.lostTopics).toEqual(["source_reconnected"]);
    await query("insert into todos values (2, 'a')");
    expect(await first.sink.next("a", "todos", 1)).toMatchObject([{ id: "2" }]);
  });

  it("is made once open transactions have ended; until then the state says what it waits for", async () => {
    const server = await startPostgres();
    const test = createWalSource({
      url: server.url,
      settings: { slotTimeoutMs: 200, slotRetryMs: 50, openWaitMs: 0 },
    });
    const writer = new Client({ connectionString: server.url });
    try {
      await writer.connect();
      await writer.query("create table public.todos (id int primary key, tenant_id text)");
      await writer.query("begin; insert into public.todos values (1, 'a')");
      await test.source.open();
      await until(() => {
        const state = test.source.state();
        return !state.live && /waits for 1 open transaction/.test(state.reason);
      });
      await writer.query("commit");
      await untilLive(test);
      await test.watch("a", "todos");
      await writer.query("insert into public.todos values (2, 'a')");
      expect(await test.sink.next("a", "todos", 1)).toMatchObject([{ id: "2" }]);
    } finally {
      await writer.end();
      await test.source.close();
      await server.stop();
    }
  });

  it("is made although there is never a moment without open transactions, which last longer than an attempt", async () => {
    const server = await startPostgres();
    const test = createWalSource({
      url: server.url,
      settings: { slotTimeoutMs: 100, slotRetryMs: 50, openWaitMs: 0 },
    });
    const released = new AbortController();
    const writing = [0, 300].map((offsetMs) => writeInTurn(server.url, offsetMs, released.signal));
    try {
      await test.source.open();
      await untilLive(test);
    } finally {
      released.abort();
      await Promise.all(writing);
      await test.source.close();
      await server.stop();
    }
  });

  it("tells of an open transaction that has the database keep almost as much as it may", async () => {
    const server = await startPostgres({ settings: { max_slot_wal_keep_size: "4MB" } });
    const test = createWalSource({
      url: server.url,
      settings: { maxHistoryAgeMs: 50, statusIntervalMs: 50, slotCheckIntervalMs: 50 },
    });
    const writer = new Client({ connectionString: server.url });
    try {
      await writer.connect();
      await test.source.open();
      await untilLive(test);
      await writer.query("begin; select pg_current_xact_id()");
      await runOn(server.url, "select pg_logical_emit_message(false, 'x', repeat('x', 3500000))");
      await until(() => {
        const state = test.source.state();
        const { slotKeptBytes = 0, slotLagBytes = Infinity } = test.source.stats();
        const keepsUp = slotLagBytes < 1_000_000 && slotKeptBytes > 3_000_000;
        return keepsUp && state.live && /keeps \d MiB .*, of 4 MiB/u.test(state.detail ?? "");
      });
    } finally {
      await writer.end();
      await test.source.close();
      await server.stop();
    }
  });

  it("holds back no more than the history, and is told of when it is far behind", async () => {
    const server = await startPostgres();
    const test = createWalSource({
      url: server.url,
      settings: {
        maxSlotLagBytes: 1_000_000,
        maxHistoryAgeMs: 50,
        statusIntervalMs: 50,
        slotCheckIntervalMs: 50,
        // Longer than a busy machine may keep us from saying a word.
        senderTimeoutMs: 5_000,
      },
    });
    let release: () => void = () => undefined;
    try {
      await runOn(server.url, "create table public.todos (id int primary key, tenant_id text, body text)");
      await test.source.open();
      await untilLive(test);
      await test.watch("a", "todos");
      const [before] = await runOn(server.url, "select active_pid::text from pg_replication_slots");
      test.sink.append = () =>
        new Promise<void>((resolve) => {
          release = resolve;
        });
      await runOn(
        server.url,
        "insert into public.todos select n, 'a', repeat('x', 1000) from generate_series(1, 300) n",
      );
      await until(() => test.source.stats().changes > 0);
      // Of a transaction that is still being written the slot is told before it commits; of this it is not.
      await runOn(server.url, "select pg_logical_emit_message(false, 'x', repeat('x', 5000000))");
      await until(
        () => {
          const state = test.source.state();
          return state.live && state.detail?.includes("MiB behind") === true;
        },
        { describe: () => JSON.stringify([test.source.state(), test.source.stats()]) },
      );
      // For longer than wal_sender_timeout nothing is read, and yet the stream is not ended.
      const blockedAtMs = Date.now();
      await until(() => Date.now() - blockedAtMs > 7_000);
      expect(await runOn(server.url, "select active_pid::text from pg_replication_slots")).toEqual([before]);
      delete (test.sink as { append?: unknown }).append;
      release();
      await until(() => test.source.state().live && !("detail" in test.source.state()), {
        describe: () => JSON.stringify([test.source.state(), test.source.stats()]),
      });
      await until(() => (test.source.stats().slotLagBytes ?? Infinity) < 10_000);
    } finally {
      release();
      await test.source.close();
      await server.stop();
    }
  });
});

describe("a large transaction", () => {
  it("is streamed in pieces, at the pace of who takes them, with little memory", async () => {
    const rows = 60_000;
    const test = await open({ settings: { maxHistoryBytes: 8 * 1024 * 1024 } });
    await query("create table large (id int primary key, tenant_id text, body text)");
    await test.watch("a", "large");
    let received = 0;
    let largest = 0;
    let last = "";
    let peak = 0;
    test.sink.append = (events) => {
      received += events.length;
      largest = Math.max(largest, events.length);
      for (const { position } of events) {
        if (position <= last) throw new Error(`${position} after ${last}`);
        last = position;
      }
      peak = Math.max(peak, process.memoryUsage().rss);
      return new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    };
    const before = process.memoryUsage().rss;
    // 240 MB of JSON.
    await query("insert into large select n, 'a', repeat('x', 4000) from generate_series(1, $1::int) n", [
      rows,
    ]);
    await until(() => received === rows, { describe: () => String(received) });
    expect(largest).toBeLessThanOrEqual(128);
    expect((peak - before) / 1024 / 1024).toBeLessThan(160);
  });
});

/** Drops a slot, once, in a moment in which its stream is cut off. */
async function dropUnderneath(slot: string): Promise<void> {
  await until(
    async () => {
      await query("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1", [
        slot,
      ]);
      return query("select pg_drop_replication_slot($1)", [slot]).then(
        () => true,
        () => false,
      );
    },
    { intervalMs: 1, describe: `the end of ${slot}` },
  );
}

async function writeUntilKilled(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    for (let id = 1; ; id++) await client.query("insert into public.todos values ($1, 'a')", [id]);
  } catch {
    await client.end().catch(() => undefined);
  }
}

/** The first column of what the last statement answers. */
async function runOn(url: string, sql: string): Promise<readonly unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const result: unknown = await client.query({ text: sql, rowMode: "array" });
    const last = Array.isArray(result) ? (result.at(-1) as unknown) : result;
    return (last as { rows: readonly (readonly unknown[])[] }).rows.map(([value]) => value);
  } finally {
    await client.end();
  }
}

/** Transactions of 600 ms, one after the other, from a moment on. */
async function writeInTurn(url: string, offsetMs: number, signal: AbortSignal): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query("select pg_sleep($1::float8 / 1000)", [offsetMs]);
  while (!signal.aborted) {
    await client.query("begin; select pg_current_xact_id(); select pg_sleep(0.6); commit");
  }
  await client.end();
}
