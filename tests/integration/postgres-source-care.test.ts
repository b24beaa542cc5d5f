import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { diagnose } from "../../packages/server/src/source/postgres/doctor.ts";
import { uninstall } from "../../packages/server/src/source/postgres/uninstall.ts";
import { databaseForEachTest } from "../support/database-for-each.ts";
import { startMisbehavingProxy } from "../support/postgres-source-proxy.ts";
import { openTestSource } from "../support/postgres-source.ts";
import { until } from "../support/until.ts";

const log = pino({ level: "silent" });
const database = databaseForEachTest();
const { query } = database;

describe("uninstall", () => {
  it("removes every trigger and function, and a later start sets up again", async () => {
    await query("create table todos (id int primary key, tenant_id text)");
    await query(`create table "od""d" (id int, tenant_id text, primary key (id)) partition by range (id)`);
    await query(`create table odd_1 partition of "od""d" for values from (0) to (10)`);
    const test = await openTestSource({ url: database.url });
    await test.watch("a", "todos");
    await test.watch("a", 'od"d');
    await test.source.close();
    const report = await uninstall(database.url);
    expect([...report.tables].toSorted()).toEqual(['public."od""d"', "public.odd_1", "public.todos"]);
    expect((await query("select from pg_trigger where tgname like '%paperdb%'")).rowCount).toBe(0);
    expect(
      (
        await query(
          "select from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname = 'paperdb'",
        )
      ).rowCount,
    ).toBe(0);
    await query("insert into todos values (1, 'a')");
    expect(await uninstall(database.url)).toEqual({ tables: [], functions: 0, slots: [] });
    const again = await openTestSource({ url: database.url });
    try {
      await again.watch("a", "todos");
      await query("insert into todos values (2, 'a')");
      await again.sink.next("a", "todos", 1);
    } finally {
      await again.source.close();
    }
  });

  it("refuses beside a running server, and writes never fail without our functions", async () => {
    await query("create table todos (id int primary key, tenant_id text)");
    const test = await openTestSource({ url: database.url });
    try {
      await test.watch("a", "todos");
      await expect(uninstall(database.url)).rejects.toThrow(/stop it first/);
      await query("drop function paperdb.send");
      await query("insert into todos values (1, 'a')");
      await query("truncate todos");
      expect((await query("select from todos")).rowCount).toBe(0);
    } finally {
      await test.source.close();
    }
  });

  it("names the table that stays locked, and can be run again", async () => {
    await query("create table todos (id int primary key, tenant_id text)");
    const test = await openTestSource({ url: database.url });
    await test.watch("a", "todos");
    await test.source.close();
    const long = await database.pool.connect();
    try {
      await long.query("begin");
      await long.query("insert into todos values (1, 'a')");
      await expect(uninstall(database.url, { timeoutMs: 300 })).rejects.toThrow(/^public.todos stays locked/);
      await long.query("commit");
    } finally {
      long.release();
    }
    expect(await uninstall(database.url)).toMatchObject({ tables: ["public.todos"] });
  });

  it("does nothing to a database that never had anything", async () => {
    expect(await uninstall(database.url)).toEqual({ tables: [], functions: 0, slots: [] });
  });
});

describe("rights", () => {
  it("runs the code of a table owner's types as that owner, never as the server", async () => {
    const role = `owner_${database.name}`;
    await query(
      `create role ${role}; grant create on schema public to ${role}; create schema types authorization ${role}`,
    );
    const test = await openTestSource({ url: database.url });
    const owner = await database.pool.connect();
    try {
      await owner.query(`set role ${role}`);
      await owner.query("create type types.trap as enum ('set')");
      await owner.query(`create function types.spring(types.trap) returns json language sql
        as 'select json_build_object($$ran_as$$, current_user)'`);
      await owner.query("create cast (types.trap as json) with function types.spring(types.trap)");
      await owner.query(
        "create table trapped (id int primary key, tenant_id text, big text, trap types.trap)",
      );
      await test.watch("a", "trapped");
      await owner.query("insert into trapped values (1, 'a', repeat('x', 2000000), 'set')");
      const [change] = await test.sink.next("a", "trapped", 1);
      expect(change?.document["trap"]).toEqual({ ran_as: role });
    } finally {
      owner.release(true);
      await test.source.close();
      await query(`drop owned by ${role} cascade; drop role ${role}`);
    }
  });

  it("cleans up after dropped tables", async () => {
    const settings = { outboxRetentionMs: 100, catalogPollIntervalMs: 50 };
    const test = await openTestSource({ url: database.url, settings });
    try {
      await query("create table short_lived (id int primary key, tenant_id text)");
      await test.watch("a", "short_lived");
      await query("drop table short_lived");
      await until(
        async () => (await query("select from pg_proc where proname ~ '^capture_[0-9]+$'")).rowCount === 0,
      );
    } finally {
      await test.source.close();
    }
  });
});

describe("diagnose", () => {
  const titles = async (url: string, level: string, timeoutMs = 60_000) =>
    (await diagnose({ name: "postgres", url, log, timeoutMs }))
      .filter((finding) => finding.level === level)
      .map(({ title }) => title)
      .join("\n");

  it("finds nothing wrong with a database that is ready", async () => {
    await query("create table todos (id int primary key, tenant_id text)");
    expect(await titles(database.url, "error")).toBe("");
    expect(await titles(database.url, "warning")).toBe("");
    expect(await titles(database.url, "ok")).toMatch(
      /is reachable[^]*A NOTIFY arrives[^]*"todos" is a collection/,
    );
    expect((await query("select from pg_namespace where nspname = 'paperdb'")).rowCount).toBe(0);
  });

  it("says which tables are no collections or have heirs, and which triggers are disabled", async () => {
    await query("create table elder (id int primary key, tenant_id text)");
    await query("create table heir (primary key (id)) inherits (elder)");
    await query("create table no_tenant (id int primary key)");
    await query("create table no_key (tenant_id text)");
    await query("create table todos (id int primary key, tenant_id text)");
    const test = await openTestSource({ url: database.url });
    await test.watch("a", "todos");
    await test.source.close();
    await query("alter table todos disable trigger all");
    const warnings = await titles(database.url, "warning");
    expect(warnings).toMatch(/no_tenant" has no tenant_id column/);
    expect(warnings).toMatch(/INHERIT from the table of collection "elder"/);
    expect(warnings).not.toMatch(/collection "heir"/);
    expect(warnings).toMatch(/no_key" has no primary key/);
    expect(warnings).toMatch(/triggers of collection "todos" are disabled/);
  });

  it("says which rights are missing, and how to give them", async () => {
    await query("create table todos (id int primary key, tenant_id text)");
    await query(
      "do $$ begin create role weak login password 'weak'; exception when duplicate_object then null; end $$",
    );
    const url = new URL(database.url);
    url.username = "weak";
    url.password = "weak";
    const findings = await diagnose({ name: "postgres", url: url.href, log });
    expect(findings).toContainEqual({
      level: "error",
      title: 'The user weak may not set up schema "paperdb".',
      fix: "As a superuser or the database's owner, run: CREATE SCHEMA paperdb AUTHORIZATION weak;",
    });
    expect(await titles(url.href, "error")).toMatch(
      /may not install a trigger on the table of collection "todos"/,
    );
  });

  it("names a pooler, and a server that is not there", async () => {
    const proxy = await startMisbehavingProxy(database.url);
    proxy.swallowNotifications();
    try {
      expect(await titles(proxy.url, "error", 1_000)).toMatch(/pooler/);
    } finally {
      await proxy.close();
    }
    const gone = new URL(database.url);
    gone.port = "1";
    expect(await titles(gone.href, "error")).toMatch(/ECONNREFUSED/);
  });
});
