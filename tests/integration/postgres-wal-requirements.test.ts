import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { diagnose } from "../../packages/server/src/source/postgres/doctor.ts";
import { uninstall } from "../../packages/server/src/source/postgres/uninstall.ts";
import { databaseForEachTest } from "../support/database-for-each.ts";
import { openTestSource } from "../support/postgres-source.ts";
import { createWalSource, openWalSource } from "../support/postgres-wal.ts";
import { startPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

const log = pino({ level: "silent" });
const database = databaseForEachTest("create table todos (id int primary key, tenant_id text, body text)");
const { query } = database;

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
