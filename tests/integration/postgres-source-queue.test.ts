import { Client } from "pg";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { openTestSource } from "../support/postgres-source.ts";
import { startPostgres } from "../support/postgres.ts";
import type { TestPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

// PostgreSQL 17 made the size of the queue a setting; before, it takes 8 GB to fill it.
const canBeSmall = inject("postgresBinDir") === undefined;
const PAGES = 128;

let server: TestPostgres;
let writer: Client;

beforeAll(async () => {
  if (!canBeSmall) return;
  server = await startPostgres({ settings: { max_notify_queue_pages: String(PAGES) } });
  writer = new Client({ connectionString: server.url, options: "-c search_path=public" });
  await writer.connect();
});

afterAll(async () => {
  if (!canBeSmall) return;
  await writer.end();
  await server.stop();
});

it.runIf(canBeSmall)("lets writes succeed and resets when the notification queue is half full", async () => {
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
