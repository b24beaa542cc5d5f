import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestDatabase } from "../support/postgres.ts";
import { describeChanges } from "../support/postgres-source-changes.ts";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import type { TestNotifySource } from "../support/postgres-source.ts";

describeChanges(openTestSource);

let database: TestDatabase;
let test: TestNotifySource;
const query = (sql: string, params: readonly unknown[] = []) => database.query(sql, params);

beforeAll(async () => {
  database = await createApplicationDatabase();
  test = await openTestSource({ url: database.url });
});

afterAll(async () => {
  await test.source.close();
  await database.drop();
});

describe("notifications", () => {
  it("ignores forged and garbled notifications, and goes on", async () => {
    await query("create table forged (id int primary key, tenant_id text)");
    await test.watch("a", "forged");
    const channel = "flc_rt_' || md5('public.forged:a') || '";
    const oid = Number((await query("select 'forged'::regclass::oid as oid")).rows[0]?.["oid"]);
    const before = test.source.stats();
    const garbage = [
      "",
      "x",
      "{}",
      "[]",
      "null",
      "#",
      "#1.1:2:2:AAAA",
      "#1.1:1:999999:AAAA",
      "#1.1:1:1:AAAA",
      "@x",
      `["i",1,"1.1",${String(oid)},"a","1",0]\nnot json`,
      `["i",1,"1.1",${String(oid)},"a","1",0]\n[1]`,
      `["i",1,"1.1",${String(oid)},"a","not json",1]\n{}`,
      `["i",1,"1.1",${String(oid)},"a"]\n{}`,
      `["p",1,1,${String(oid)},"a","1",0]\n{}`,
      `["z",1,1,${String(oid)},"a","1",0]\n{}`,
    ];
    for (const payload of garbage) await query(`select pg_notify('${channel}', $1)`, [payload]);
    for (const payload of ["", "[]", '["lost",1]'])
      await query("select pg_notify('flc_rt_control', $1)", [payload]);
    const mismatched = [
      `["i",1,"1.1",${String(oid)},"b","1",0]\n{"id":1}`, // another tenant
      `["i",1,"1.1",${String(oid + 1)},"a","1",0]\n{"id":1}`, // another table
    ];
    for (const payload of mismatched) await query(`select pg_notify('${channel}', $1)`, [payload]);
    await query("insert into forged values (7, 'a')");
    expect(await test.sink.next("a", "forged", 1)).toMatchObject([{ id: "7" }]);
    const after = test.source.stats();
    expect(after.garbage - before.garbage).toBe(garbage.length + 3);
    expect(after.mismatched - before.mismatched).toBe(mismatched.length);
    expect(test.sink.resets).toEqual([]);
  });
});
