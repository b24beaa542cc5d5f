import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import { startMisbehavingProxy } from "../support/postgres-source-proxy.ts";
import { startPostgres } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";
import { Client } from "pg";

let database: TestDatabase;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
  await query("create table todos (id int primary key, tenant_id text)");
});

afterAll(async () => {
  await database.drop();
});

async function attempts(table: string): Promise<number> {
  const result = await query(`select from pg_locks where not granted and relation = '${table}'::regclass`);
  return result.rowCount ?? 0;
}

describe("an outage", () => {
  it("of the listening connection resets once it is back, and then changes flow", async () => {
    const test = await openTestSource({ url: database.url });
    try {
      for (const tenant of ["a", "b"]) await test.watch(tenant, "todos");
      await query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like '% listener'",
      );
      await until(() => test.sink.resetsOf("a", "todos", "source_reconnected") === 1);
      expect(test.sink.resets).toEqual([{ channels: "all", reason: "source_reconnected" }]);
      expect(test.source.state()).toEqual({ live: true });
      await query("insert into todos values (1, 'a'), (2, 'b')");
      await test.sink.next("a", "todos", 1);
      await test.sink.next("b", "todos", 1);
      expect(test.sink.positions).toEqual(test.sink.positions.toSorted());
    } finally {
      await test.source.close();
    }
  });

  it("is told: state and watch say so while it lasts, also when the server was killed", async () => {
    const server = await startPostgres();
    const test = await openTestSource({ url: server.url, settings: { maxReconnectMs: 300 } });
    try {
      await runOn(server.url, "create table public.todos (id int primary key, tenant_id text)");
      await test.watch("a", "todos");
      await server.kill();
      await until(() => !test.source.state().live);
      await expect(test.watch("a", "todos")).rejects.toMatchObject({
        code: "source_unavailable",
        retryAfterSeconds: expect.any(Number),
      });
      await expect(test.watch("b", "todos")).rejects.toMatchObject({ code: "source_unavailable" });
      await server.start();
      await until(() => test.source.state().live);
      expect(test.sink.resets).toEqual([{ channels: "all", reason: "source_reconnected" }]);
      await test.watch("b", "todos");
      await runOn(server.url, "insert into public.todos values (1, 'a'), (2, 'b')");
      await test.sink.next("a", "todos", 1);
      await test.sink.next("b", "todos", 1);
    } finally {
      await test.source.close();
      await server.stop();
    }
  });

  it("that no one announces is noticed by a probe", async () => {
    const proxy = await startMisbehavingProxy(database.url);
    const test = await openTestSource({
      url: proxy.url,
      settings: { probeIntervalMs: 50, probeTimeoutMs: 3_000, connectTimeoutMs: 5_000, maxReconnectMs: 200 },
    });
    try {
      await test.watch("a", "todos");
      proxy.freeze();
      await until(() => !test.source.state().live);
      proxy.thaw();
      await until(() => test.source.state().live);
      await query("insert into todos values (11, 'a')");
      await test.sink.next("a", "todos", 1);
    } finally {
      await test.source.close();
      await proxy.close();
    }
  });

  it("before it is noticed fails a watch, which works again afterwards", async () => {
    const proxy = await startMisbehavingProxy(database.url);
    const test = await openTestSource({
      url: proxy.url,
      settings: {
        probeTimeoutMs: 3_000,
        connectTimeoutMs: 5_000,
        maxReconnectMs: 200,
        catalogPollIntervalMs: 60_000,
      },
    });
    try {
      await test.watch("a", "todos");
      proxy.freeze();
      await expect(test.watch("late", "todos")).rejects.toMatchObject({ code: "source_unavailable" });
      proxy.thaw();
      await until(() => test.source.state().live);
      await test.watch("late", "todos");
      await query("insert into todos values (21, 'late'), (22, 'a')");
      await test.sink.next("late", "todos", 1);
      await test.sink.next("a", "todos", 1);
    } finally {
      await test.source.close();
      await proxy.close();
    }
  });

  it("during which a trigger was removed ends with the trigger in place again", async () => {
    const proxy = await startMisbehavingProxy(database.url);
    const test = await openTestSource({
      url: proxy.url,
      settings: { probeIntervalMs: 50, probeTimeoutMs: 3_000, connectTimeoutMs: 5_000, maxReconnectMs: 200 },
    });
    try {
      await query("create table stripped (id int primary key, tenant_id text)");
      await test.watch("a", "stripped");
      proxy.freeze();
      await until(() => !test.source.state().live);
      await query("drop table stripped; create table stripped (id int primary key, tenant_id text)");
      proxy.thaw();
      await until(() => test.source.state().live);
      await query("insert into stripped values (1, 'a')");
      await test.sink.next("a", "stripped", 1);
    } finally {
      await test.source.close();
      await proxy.close();
    }
  });

  it("fails who waits for a filter, whose table is free before the connection is back", async () => {
    const test = await openTestSource({
      url: database.url,
      settings: {
        installTimeoutMs: 600_000,
        lockTimeoutMs: 3_000,
        minReconnectMs: 60_000,
        maxReconnectMs: 60_000,
      },
    });
    const long = await database.pool.connect();
    try {
      await query("create table filtered_late (id int primary key, tenant_id text)");
      await long.query("begin; lock table filtered_late");
      const needing = test.source.needPrior("filtered_late", new Set()).then(
        () => "known",
        (error: { readonly code?: unknown }) => error.code,
      );
      await until(async () => (await attempts("filtered_late")) > 0);
      // No further attempt is made while the same transaction holds it.
      await until(async () => (await attempts("filtered_late")) === 0);
      await query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like '% listener'",
      );
      await until(() => !test.source.state().live);
      await long.query("commit");
      expect(await needing).toBe("source_unavailable");
    } finally {
      long.release(true);
      await test.source.close();
    }
  });
});

describe("closing", () => {
  // What it must not wait for takes ten minutes here.
  const settings = { installTimeoutMs: 600_000, connectTimeoutMs: 600_000, probeTimeoutMs: 600_000 };

  it("does not wait for a table that is locked, and fails who waits for it", async () => {
    const test = await openTestSource({ url: database.url, settings });
    const long = await database.pool.connect();
    try {
      await long.query("begin; lock table todos");
      await query("create table waited_for (id int primary key, tenant_id text)");
      await long.query("lock table waited_for");
      const watching = test.watch("a", "waited_for").then(
        () => "watched",
        (error: { readonly code?: unknown }) => error.code,
      );
      await until(async () => (await attempts("waited_for")) > 0);
      await test.source.close();
      expect(await watching).toBe("source_unavailable");
    } finally {
      long.release(true);
      await test.source.close();
    }
  });

  it.each(["connected", "reconnecting"])(
    "does not wait for a database that does not answer: %s",
    async (when) => {
      const proxy = await startMisbehavingProxy(database.url);
      const test = await openTestSource({
        url: proxy.url,
        settings: {
          ...settings,
          ...(when === "reconnecting"
            ? { probeIntervalMs: 50, probeTimeoutMs: 3_000, minReconnectMs: 1 }
            : {}),
        },
      });
      try {
        await test.watch("a", "todos");
        proxy.freeze();
        if (when === "reconnecting") await until(() => !test.source.state().live);
        void test.watch("late", "todos").catch(() => undefined);
        await test.source.close();
      } finally {
        await proxy.close();
      }
    },
  );
});

describe("opening", () => {
  it("names a pooler that swallows notifications", async () => {
    const proxy = await startMisbehavingProxy(database.url);
    proxy.swallowNotifications();
    try {
      await expect(openTestSource({ url: proxy.url, settings: { probeTimeoutMs: 1_000 } })).rejects.toThrow(
        /pooler .* swallows notifications.*direct URL/,
      );
    } finally {
      await proxy.close();
    }
  });

  it.each([
    ["a wrong password", (url: URL) => (url.password = "hunter2"), /password authentication failed/],
    ["a missing database", (url: URL) => (url.pathname = "/no_such"), /database "no_such" does not exist/],
    ["a closed port", (url: URL) => (url.port = "1"), /ECONNREFUSED/],
  ])("fails in one line without a secret for %s", async (_what, spoil, message) => {
    const url = new URL(database.url);
    spoil(url);
    const failure = await openTestSource({ url: url.href }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(Error);
    const shown = failure instanceof Error ? failure.message : "";
    expect(shown).toMatch(message);
    expect(shown).not.toContain("\n");
    expect(shown).not.toContain("hunter2");
  });

  it("leaves no connection behind when it is closed", async () => {
    const test = await openTestSource({ url: database.url });
    await test.watch("a", "todos");
    await test.source.close();
    const connections = async (): Promise<number | null> =>
      (
        await query(
          "select from pg_stat_activity where datname = current_database() and application_name like 'paperdb-realtime%'",
        )
      ).rowCount;
    await until(async () => (await connections()) === 0);
  });
});

async function runOn(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
