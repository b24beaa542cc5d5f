import { pino } from "pino";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { diagnose } from "../../packages/server/src/source/postgres/doctor.ts";
import { uninstall } from "../../packages/server/src/source/postgres/uninstall.ts";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import { createWalSource, openWalSource } from "../support/postgres-wal.ts";
import { startPostgres } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

const log = pino({ level: "silent" });
let database: TestDatabase;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeEach(async () => {
  database = await createApplicationDatabase();
  await query("create table todos (id int primary key, tenant_id text, body text)");
});

afterEach(async () => {
  await database.drop();
});

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

describe("what the mode needs", () => {
  it("is all named at once, with the SQL that mends it", async () => {
    const server = await startPostgres({
      settings: {
        wal_level: "replica",
        max_slot_wal_keep_size: "-1",
        max_wal_senders: "0",
        max_replication_slots: "0",
      },
    });
    const test = createWalSource({ url: server.url });
    try {
      const failure: unknown = await test.source.open().catch((error: unknown) => error);
      const message = failure instanceof Error ? failure.message : "";
      expect(message).toMatch(/ALTER SYSTEM SET wal_level = 'logical'/);
      expect(message).toMatch(/ALTER SYSTEM SET max_replication_slots = 5/);
      expect(message).toMatch(/ALTER SYSTEM SET max_wal_senders = 5/);
      expect(message).toMatch(/ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf\(\);/);
      expect(message).not.toContain("\n");
      const findings = await diagnose({ name: "postgres", url: server.url, mode: "wal", log });
      expect(findings.filter(({ level }) => level === "error")).toHaveLength(4);
    } finally {
      await test.source.close();
      await server.stop();
    }
  });

  it("allows a slot without bound where that is configured", async () => {
    const server = await startPostgres({ settings: { max_slot_wal_keep_size: "-1" } });
    try {
      await expect(createWalSource({ url: server.url }).source.open()).rejects.toThrow(/could fill the disk/);
      const test = await openWalSource({ url: server.url, settings: { allowUnboundedSlot: true } });
      await test.source.close();
    } finally {
      await server.stop();
    }
  });

  it("includes rights, for the source and for each table; with them no superuser is needed", async () => {
    const role = `weak_${database.name}`;
    await query(`create role ${role} login password 'weak'; create schema paperdb authorization ${role}`);
    const url = new URL(database.url);
    url.username = role;
    url.password = "weak";
    try {
      await expect(createWalSource({ url: url.href }).source.open()).rejects.toThrow(
        new RegExp(`ALTER ROLE ${role} REPLICATION;.*GRANT CREATE ON DATABASE ${database.name} TO ${role};`),
      );
      await query(`alter role ${role} replication; grant create on database ${database.name} to ${role}`);
      const test = await openWalSource({ url: url.href });
      try {
        await expect(test.watch("a", "todos")).rejects.toMatchObject({
          code: "collection_not_usable",
          message: expect.stringMatching(/GRANT <owner> TO <user>/),
        });
        await query(`alter table todos owner to ${role}`);
        await test.watch("a", "todos");
        await query("insert into todos values (1, 'a', 'x')");
        await test.sink.next("a", "todos", 1);
      } finally {
        await test.source.close();
      }
      expect(await uninstall(url.href)).toMatchObject({ slots: [expect.any(String)] });
    } finally {
      await query(
        `reassign owned by ${role} to current_user; drop owned by ${role} cascade; drop role ${role}`,
      );
    }
  });

  it("includes rights to partitions: the SQL that an answer has is all that is missing", async () => {
    const role = `weak_${database.name}`;
    await query(`create role ${role} login replication password 'weak'`);
    await query(
      `create schema paperdb authorization ${role}; grant create on database ${database.name} to ${role}`,
    );
    await query("create table parted (id int primary key, tenant_id text) partition by range (id)");
    await query("create table parted_1 partition of parted for values from (0) to (10)");
    const url = new URL(database.url);
    url.username = role;
    url.password = "weak";
    const test = await openWalSource({ url: url.href });
    try {
      const failure = await test.watch("a", "parted").catch((error: unknown) => String(error));
      const [sql = ""] = /BEGIN;.*COMMIT;/u.exec(failure) ?? [];
      await query(sql);
      await test.watch("a", "parted");
      await query("insert into parted values (1, 'a')");
      await query("update parted set id = 2");
      expect(await test.sink.next("a", "parted", 3)).toMatchObject([
        { id: "1" },
        { type: "delete" },
        { id: "2" },
      ]);
    } finally {
      await test.source.close();
      await query(
        `reassign owned by ${role} to current_user; drop owned by ${role} cascade; drop role ${role}`,
      );
    }
  });

  it("is found by doctor, the slot's lag and another mode's triggers included", async () => {
    const notify = await openTestSource({ url: database.url });
    await notify.watch("a", "todos");
    await notify.source.close();
    const test = await openWalSource({ url: database.url, slot: "doctored" });
    try {
      const ready = await diagnose({
        name: "postgres",
        url: database.url,
        mode: "wal",
        slot: "doctored",
        log,
      });
      expect(ready.filter(({ level }) => level === "error")).toEqual([]);
      expect(ready.map(({ title }) => title).join("\n")).toMatch(/"doctored" keeps up/);
      expect(
        ready
          .filter(({ level }) => level === "warning")
          .map(({ title }) => title)
          .join("\n"),
      ).toMatch(/triggers of mode "notify" are still on the table of collection "todos"/);
    } finally {
      await test.source.close();
    }
    await query("select pg_logical_emit_message(false, 'x', repeat('x', 5000000))");
    const behind = await diagnose({
      name: "postgres",
      url: database.url,
      mode: "wal",
      slot: "doctored",
      maxSlotLagBytes: 1_000_000,
      log,
    });
    expect(behind).toContainEqual(
      expect.objectContaining({
        level: "warning",
        title: expect.stringMatching(/"doctored" is \d+ MiB behind/),
      }),
    );
  });
});

describe("doctor", () => {
  const doctor = async (slot: string, url = database.url) =>
    (await diagnose({ name: "postgres", url, mode: "wal", slot, log })).filter(({ level }) => level !== "ok");

  it("names slots that servers have left behind, and the SQL that drops them", async () => {
    const slot = `${database.name}_left`;
    const test = await openWalSource({ url: database.url, slot });
    const other = `${database.name}_now`;
    expect(await doctor(other)).toEqual([]);
    await test.source.close();
    const finding = await until(async () => (await doctor(other))[0]);
    expect(finding).toMatchObject({ level: "warning", title: expect.stringContaining(`"${slot}"`) });
    await query(/SELECT .*;/u.exec(finding?.fix ?? "")?.[0] ?? "");
    expect(await doctor(other)).toEqual([]);
    expect((await query("select from pg_publication")).rowCount).toBe(0);
  });

  it("tells a slot of somebody else's, and a publication of all tables", async () => {
    const slot = `${database.name}_foreign`;
    await query("select pg_create_logical_replication_slot($1, 'test_decoding')", [slot]);
    await query(`create publication ${slot} for all tables`);
    expect(await doctor(slot)).toMatchObject([
      { level: "error", title: expect.stringContaining("is of another program") },
      {
        level: "error",
        title: expect.stringContaining("FOR ALL TABLES"),
        fix: `Run: DROP PUBLICATION "${slot}";`,
      },
    ]);
    await query("select pg_drop_replication_slot($1)", [slot]);
  });

  it("names what snapshots need, and does not miss rights to what is published already", async () => {
    const role = `weak_${database.name}`;
    await query(`create role ${role} login replication password 'weak'`);
    await query(
      `grant create on database ${database.name} to ${role}; grant usage on schema public to ${role}`,
    );
    const url = new URL(database.url);
    url.username = role;
    url.password = "weak";
    try {
      const slot = `${database.name}_read`;
      await query(`create publication ${slot} for table todos; alter table todos replica identity full`);
      await query(`alter publication ${slot} owner to ${role}`);
      const mend = async (title: RegExp) => {
        const findings = await doctor(slot, url.href);
        expect(findings).toMatchObject([{ level: "warning", title: expect.stringMatching(title) }]);
        await query(/(?:GRANT|ALTER) .*;/u.exec(findings[0]?.fix ?? "")?.[0] ?? "");
      };
      await mend(/may not read the table of collection "todos"/);
      await query("alter table todos enable row level security");
      await mend(/Row-level security hides rows of collection "todos"/);
      expect(await doctor(slot, url.href)).toEqual([]);
    } finally {
      await query(
        `reassign owned by ${role} to current_user; drop owned by ${role} cascade; drop role ${role}`,
      );
    }
  });
});

describe("uninstall", () => {
  it("refuses beside a server that waits for the slot", async () => {
    await query("select pg_create_logical_replication_slot($1, 'test_decoding')", [`${database.name}_other`]);
    const test = createWalSource({
      url: database.url,
      slot: `${database.name}_other`,
      settings: { openWaitMs: 0, slotRetryMs: 60_000 },
    });
    try {
      await test.source.open();
      await until(() => JSON.stringify(test.source.state()).includes("of another program"));
      await expect(uninstall(database.url)).rejects.toThrow(/stop it first/);
    } finally {
      await test.source.close();
    }
    await uninstall(database.url);
    await query("select pg_drop_replication_slot($1)", [`${database.name}_other`]);
  });

  it("refuses beside a running server; then nothing is left, and a later start sets up again", async () => {
    await query("create table keyless (id int primary key, tenant_id text, code text not null unique)");
    await query("alter table keyless replica identity using index keyless_code_key");
    const test = await openWalSource({ url: database.url, slot: "to_go" });
    await test.watch("a", "todos");
    await test.watch("a", "keyless");
    expect([await fetchIdentity("todos"), await fetchIdentity("keyless")]).toEqual(["f", "f"]);
    await expect(uninstall(database.url)).rejects.toThrow(/stop it first/);
    await test.source.close();
    expect(await uninstall(database.url)).toMatchObject({ slots: ["to_go"] });
    expect([await fetchIdentity("todos"), await fetchIdentity("keyless")]).toEqual(["d", "i"]);
    for (const catalog of ["pg_publication", "pg_replication_slots where database = current_database()"]) {
      expect((await query(`select from ${catalog}`)).rowCount).toBe(0);
    }
    expect(
      (await query("select from pg_tables where schemaname = 'paperdb' and tablename <> 'migrations'"))
        .rowCount,
    ).toBe(0);
    expect(await uninstall(database.url)).toEqual({ tables: [], functions: 0, slots: [] });
    const again = await openWalSource({ url: database.url, slot: "to_go" });
    try {
      await again.watch("a", "todos");
      await query("insert into todos values (1, 'a', 'x')");
      await again.sink.next("a", "todos", 1);
    } finally {
      await again.source.close();
    }
  });
});

describe("a change of mode", () => {
  it("makes paperdb.publish what the mode that started last sends", async () => {
    const notify = await openTestSource({ url: database.url });
    await notify.source.close();
    const wal = await openWalSource({ url: database.url });
    try {
      await wal.settle(query);
      expect(wal.published).toHaveLength(1);
    } finally {
      await wal.source.close();
    }
    const again = await openTestSource({ url: database.url });
    try {
      await again.settle(query);
      expect(again.published).toHaveLength(1);
    } finally {
      await again.source.close();
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
