import { describe, expect, it } from "vitest";
import { uninstall } from "../../packages/server/src/source/postgres/uninstall.ts";
import { databaseForEachTest } from "../support/database-for-each.ts";
import { openTestSource } from "../support/postgres-source.ts";
import { createWalSource, openWalSource } from "../support/postgres-wal.ts";
import { until } from "../support/until.ts";

const database = databaseForEachTest("create table todos (id int primary key, tenant_id text, body text)");
const { query } = database;

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

async function fetchIdentity(table: string): Promise<unknown> {
  const result = await query("select relreplident as identity from pg_class where oid = to_regclass($1)", [
    table,
  ]);
  return result.rows[0]?.["identity"];
}
