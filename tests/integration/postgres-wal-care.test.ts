import { Client } from "pg";
import { describe, expect, it } from "vitest";
import { databaseForEachTest } from "../support/database-for-each.ts";
import { openWalSource } from "../support/postgres-wal.ts";
import { until } from "../support/until.ts";

const database = databaseForEachTest("create table todos (id int primary key, tenant_id text, body text)");
const { query } = database;
const settings = { catalogPollIntervalMs: 50 };

describe("what somebody takes away", () => {
  it.each([
    ["the replica identity", "alter table todos replica identity default"],
    ["the replica identity, for none", "alter table todos replica identity nothing"],
    ["the table's place in the publication", "alter publication meddled drop table todos"],
    [
      "the table's place in the publication, for a moment",
      "alter publication meddled drop table todos; alter publication meddled add table todos",
    ],
    ["the publication", "drop publication meddled"],
    ["updates", "alter publication meddled set (publish = 'insert')"],
    [
      "updates, for a moment",
      "alter publication meddled set (publish = 'insert'); alter publication meddled set (publish = 'insert, update, delete, truncate')",
    ],
    ["some rows", "alter publication meddled set table todos where (id > 5)"],
    ["some columns", "alter publication meddled set table todos (id, tenant_id)"],
    [
      "the publication, and a change is made without it",
      "drop publication meddled; insert into todos values (9, 'a', 'x')",
    ],
  ])("is put right, and subscribers are reset: %s", async (_what, sql) => {
    const test = await openWalSource({ url: database.url, slot: "meddled", settings });
    try {
      await test.watch("a", "todos");
      await query("insert into todos values (1, 'a', 'x')");
      await test.sink.next("a", "todos", 1);
      await query(sql);
      await until(() => test.sink.resets.length > 0 && test.source.state().live);
      await untilDelivered(test);
      expect(await fetchIdentity("todos")).toBe("f");
      expect((await query("select from pg_publication_tables where pubname = 'meddled'")).rowCount).toBe(1);
      expect(test.sink.positions).toEqual(test.sink.positions.toSorted());
    } finally {
      await test.source.close();
    }
  });

  it("never makes a wrong document of it: a change without the row before resets", async () => {
    const test = await openWalSource({
      url: database.url,
      slot: "incomplete",
      settings: { catalogPollIntervalMs: 3_600_000 },
    });
    try {
      await test.watch("a", "todos");
      await query("insert into todos values (1, 'a', 'x')");
      await query("alter table todos replica identity default");
      await query("update todos set body = 'y'");
      await until(() => test.sink.resetsOf("a", "todos", "capture_failed") === 1);
      await query("delete from todos");
      await test.settle(query);
      expect(test.sink.changes("a", "todos")).toHaveLength(1);
      expect(test.sink.resets).toHaveLength(1);
    } finally {
      await test.source.close();
    }
  });
});

describe("a table", () => {
  it("is published once it is not locked any more, with the application's queries going on", async () => {
    const test = await openWalSource({ url: database.url, settings: { enrollTimeoutMs: 4_000 } });
    const reader = await database.pool.connect();
    try {
      // Even a reader is in the way of the replica identity.
      await reader.query("begin; select from todos");
      await expect(test.watch("a", "todos")).rejects.toMatchObject({
        code: "source_unavailable",
        message: expect.stringMatching(/"todos" was locked.*ALTER TABLE public\.todos REPLICA IDENTITY FULL/),
        retryAfterSeconds: 5,
      });
      await query("insert into todos values (1, 'a', 'x')");
      await reader.query("commit");
      await test.watch("a", "todos");
      await query("insert into todos values (2, 'a', 'x')");
      expect(await test.sink.next("a", "todos", 1)).toMatchObject([{ id: "2" }]);
    } finally {
      reader.release(true);
      await test.source.close();
    }
  });

  it("that cannot be published is refused, with the reason", async () => {
    await query("create unlogged table fleeting (id int primary key, tenant_id text)");
    const test = await openWalSource({ url: database.url });
    try {
      await expect(test.watch("a", "fleeting")).rejects.toMatchObject({
        code: "collection_not_usable",
        message: expect.stringMatching(/"fleeting".*unlogged/),
      });
    } finally {
      await test.source.close();
    }
  });

  it("that somebody else published while it was written to is streamed once that has ended", async () => {
    await query("alter table todos replica identity full");
    const test = await openWalSource({
      url: database.url,
      slot: "by_hand",
      settings: { enrollTimeoutMs: 4_000 },
    });
    const writer = await database.pool.connect();
    try {
      await writer.query("begin; insert into todos values (1, 'a', 'x')");
      await query("alter publication by_hand add table todos");
      await expect(test.watch("a", "todos")).rejects.toMatchObject({
        code: "source_unavailable",
        message: expect.stringMatching(
          /"todos" was put into the publication while a transaction wrote to it/,
        ),
      });
      await writer.query("commit");
      await test.watch("a", "todos");
      await query("insert into todos values (2, 'a', 'x')");
      expect(await test.sink.next("a", "todos", 1)).toMatchObject([{ id: "2" }]);
    } finally {
      writer.release(true);
      await test.source.close();
    }
  });

  it("that the database does not let us alter does not keep others from being streamed", async () => {
    await query("create table others (id int primary key, tenant_id text)");
    const test = await openWalSource({
      url: database.url,
      slot: "forbidden",
      settings: { catalogPollIntervalMs: 3_600_000 },
    });
    try {
      await test.watch("a", "todos");
      await test.watch("a", "others");
      await query("alter table todos replica identity default");
      await query(
        `create function forbid() returns event_trigger language plpgsql as $$ begin raise 'no'; end $$`,
      );
      await query(
        "create event trigger forbidden on ddl_command_start when tag in ('ALTER TABLE') execute function forbid()",
      );
      await query(
        "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = 'forbidden'",
      );
      await until(() => test.sink.droppedCollections.includes("todos") && test.source.state().live, {
        describe: () => JSON.stringify(test.source.state()),
      });
      await expect(test.watch("a", "todos")).rejects.toMatchObject({
        code: "collection_not_usable",
        message: expect.stringMatching(
          /SQLSTATE P0001.*ALTER TABLE public.todos REPLICA IDENTITY FULL; .*COMMIT;/,
        ),
      });
      await query("insert into others values (1, 'a')");
      await test.sink.next("a", "others", 1);
    } finally {
      await test.source.close();
    }
  });

  it("does not deliver a document beyond the limit, and resets its channel only", async () => {
    const test = await openWalSource({ url: database.url, settings: { maxDocumentBytes: 10_000 } });
    try {
      await test.watch("a", "todos");
      await test.watch("b", "todos");
      await query(
        "insert into todos values (1, 'a', repeat('ä', 4000)), (2, 'a', repeat('ä', 6000)), (3, 'b', '')",
      );
      await test.sink.next("b", "todos", 1);
      expect(test.sink.changes("a", "todos").map(({ id }) => id)).toEqual(["1"]);
      expect(test.sink.resetsOf("a", "todos", "change_too_large")).toBe(1);
      expect(test.sink.resetsOf("b", "todos", "change_too_large")).toBe(0);
    } finally {
      await test.source.close();
    }
  });

  it("whose large values an update leaves alone is delivered whole", async () => {
    const test = await openWalSource({ url: database.url });
    try {
      await query("alter table todos alter column body set storage external, add column n int");
      await test.watch("a", "todos");
      await test.watch("b", "todos");
      await query("insert into todos values (1, 'a', repeat('x', 100000), 1)");
      await query("update todos set n = 2");
      await query("update todos set tenant_id = 'b'");
      const sizes = (tenant: string) =>
        test.sink
          .changes(tenant, "todos")
          .map(({ type, document }) => [type, String(document["body"]).length]);
      await test.settle(query);
      expect(sizes("a")).toEqual([
        ["insert", 100_000],
        ["update", 100_000],
        ["delete", 100_000],
      ]);
      expect(sizes("b")).toEqual([["insert", 100_000]]);
    } finally {
      await test.source.close();
    }
  });
});

it("closes at once, whatever is under way, and fails who waits", async () => {
  const test = await openWalSource({ url: database.url, settings: { enrollTimeoutMs: 600_000 } });
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  try {
    await reader.query("begin; lock table public.todos");
    const watching = test.watch("a", "todos").then(
      () => "watched",
      (error: { readonly code?: unknown }) => error.code,
    );
    await until(async () => (await query("select from pg_locks where not granted")).rowCount !== 0);
    await test.source.close();
    expect(await watching).toBe("source_unavailable");
  } finally {
    await reader.end();
  }
});

async function fetchIdentity(table: string): Promise<unknown> {
  const result = await query("select relreplident as identity from pg_class where oid = to_regclass($1)", [
    table,
  ]);
  return result.rows[0]?.["identity"];
}

/** What is written now arrives, and whole; a reset, of the same cause, may take it along. */
async function untilDelivered(test: Awaited<ReturnType<typeof openWalSource>>): Promise<void> {
  for (let id = 2; ; id += 1) {
    const resets = test.sink.resets.length;
    await query("insert into todos values ($1, 'a', 'x')", [id]);
    await query("update todos set body = 'y' where id = $1", [id]);
    await query("delete from todos where id = $1", [id]);
    const changes = () => test.sink.changes("a", "todos").filter((change) => change.id === String(id));
    const isReset = () => test.sink.resets.length > resets && test.source.state().live;
    await until(() => changes().length >= 3 || isReset());
    if (changes().length < 3) continue;
    expect(changes()).toMatchObject([
      { type: "insert" },
      { type: "update" },
      { type: "delete", document: { body: "y" } },
    ]);
    return;
  }
}
