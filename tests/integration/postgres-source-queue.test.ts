import { Client } from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { diagnose } from "../../packages/server/src/source/postgres/doctor.ts";
import { openTestSource } from "../support/postgres-source.ts";
import { startPostgres } from "../support/postgres.ts";
import type { TestPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

// Runs on PostgreSQL 17 and newer, which made the size of the queue a setting; before, it takes 8 GB to fill it.
const PAGES = 128;

let server: TestPostgres;
let writer: Client;

beforeAll(async () => {
  server = await startPostgres({ settings: { max_notify_queue_pages: String(PAGES) } });
  writer = new Client({ connectionString: server.url, options: "-c search_path=public" });
  await writer.connect();
});

afterAll(async () => {
  await writer.end();
  await server.stop();
});

it("lets writes succeed and resets when the notification queue is half full", async () => {
  await writer.query("create table todos (id serial primary key, tenant_id text, body text)");
  const test = await openTestSource({ url: server.url });
  // A session that LISTENs inside a transaction keeps the queue from being emptied.
  const blocker = new Client({ connectionString: server.url });
  await blocker.connect();
  try {
    await test.watch("a", "todos");
    await blocker.query("listen something");
    await blocker.query("begin");
    await blocker.query("select 1");
    const rows = PAGES * 4;
    for (let row = 0; row < rows; row++) {
      await writer.query("insert into todos (tenant_id, body) values ('a', repeat('x', 4000))");
    }
    await until(() => test.sink.resetsOf("a", "todos", "changes_not_sent") > 0);
    expect((await writer.query("select count(*)::int as n from todos")).rows).toEqual([{ n: rows }]);
    await until(() => (test.source.stats().queueUsage ?? 0) > 0.4);
    await expect(writer.query("select paperdb.publish('a', 'topic', '1')")).rejects.toThrow(
      /notification queue .* half full/,
    );
    await blocker.query("commit");
    await until(async () => {
      await writer.query("insert into todos (tenant_id, body) values ('a', 'after')");
      return test.sink.changes("a", "todos").some(({ document }) => document["body"] === "after");
    });
  } finally {
    await blocker.end();
    await test.source.close();
  }
});

it("lets one transaction succeed that is larger than the queue, and resets", async () => {
  await writer.query("create table bulk (id serial primary key, tenant_id text, body text)");
  const test = await openTestSource({ url: server.url });
  try {
    await test.watch("a", "bulk");
    const rows = PAGES * 4;
    await writer.query(
      "insert into bulk (tenant_id, body) select 'a', repeat('x', 7000) from generate_series(1, $1)",
      [rows],
    );
    await until(() => test.sink.resetsOf("a", "bulk", "changes_not_sent") > 0);
    expect((await writer.query("select count(*)::int as n from bulk")).rows).toEqual([{ n: rows }]);
  } finally {
    await test.source.close();
  }
});

it("is told apart by doctor when it is full, with what to do", async () => {
  const blocker = new Client({ connectionString: server.url });
  await blocker.connect();
  try {
    await blocker.query("listen something");
    await blocker.query("begin; select 1");
    const fill = async (): Promise<void> => {
      for (let row = 0; row < PAGES * 2; row++) {
        await writer.query("select pg_notify('something', $1)", [`${String(row)} ${"x".repeat(7_000)}`]);
      }
    };
    await expect(fill()).rejects.toMatchObject({ code: "54000" });
    const findings = await diagnose({ name: "postgres", url: server.url, log: pino({ level: "silent" }) });
    expect(findings).toContainEqual({
      level: "error",
      title: "The notification queue is full: commits that notify fail.",
      fix: expect.stringContaining("max_notify_queue_pages"),
    });
  } finally {
    await blocker.end();
  }
});
