import { Client } from "pg";
import { expect, it, onTestFinished } from "vitest";
import { openWalSource } from "../support/postgres-wal.ts";
import { startPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

it("delivers what a transaction wrote to a partition, and with a type, of its own making, though it is streamed before it is visible", async () => {
  const server = await startPostgres({ settings: { synchronous_commit: "local" } });
  onTestFinished(() => server.stop());
  const admin = await connect(server.url);
  await admin.query(
    "create table public.parted (id int primary key, tenant_id text) partition by range (id)",
  );
  await admin.query("create table public.typed (id int primary key, tenant_id text)");
  const test = await openWalSource({ url: server.url, settings: { enrollTimeoutMs: 60_000 } });
  onTestFinished(() => test.source.close());
  await test.watch("a", "parted");
  await test.watch("a", "typed");

  // A standby that never answers: commits are in the log, and streamed, but not visible until we say so.
  await admin.query("alter system set synchronous_standby_names = 'nobody'");
  await admin.query("select pg_reload_conf()");
  const [writer, probe] = [await connect(server.url), await connect(server.url)];
  for (const client of [writer, probe]) await client.query("set synchronous_commit = on");
  const released = new AbortController();
  const probing = (async () => {
    while (!released.signal.aborted) await probe.query("select pg_logical_emit_message(true, 'probe', '')");
  })();
  const waiting = async (count: number) =>
    (await admin.query("select from pg_stat_activity where wait_event = 'SyncRep'")).rowCount === count;
  await until(() => waiting(1), { describe: "commits to wait" });
  const committed = writer.query(`begin;
    create type public.mood as enum ('fine');
    alter table public.typed add column mood public.mood;
    insert into public.typed values (1, 'a', 'fine');
    create table public.parted_1 partition of public.parted for values from (0) to (10);
    insert into public.parted values (1, 'a');
    commit`);
  await until(() => waiting(2), { describe: "the commit to wait" });
  const { rows } = await admin.query<{ lsn: string }>("select pg_current_wal_flush_lsn()::text as lsn");
  await until(
    async () =>
      (await admin.query("select from pg_stat_replication where sent_lsn >= $1::pg_lsn", [rows[0]?.lsn]))
        .rowCount,
    { describe: "the transaction to be streamed" },
  );
  released.abort();
  await admin.query("alter system set synchronous_standby_names = ''");
  await admin.query("select pg_reload_conf()");
  await Promise.all([committed, probing]);
  expect(await test.sink.next("a", "parted", 1)).toMatchObject([{ id: "1" }]);
  expect((await test.sink.next("a", "typed", 1)).map(({ text }) => text)).toEqual([
    '{"id":1,"tenant_id":"a","mood":"fine"}',
  ]);
  expect(test.sink.resetsOf("a", "typed", "capture_failed")).toBe(0);
});

it("is in nobody's way while a standby is away that commits have to wait for", async () => {
  const server = await startPostgres();
  onTestFinished(() => server.stop());
  const admin = await connect(server.url);
  await admin.query("create table public.todos (id int primary key, tenant_id text)");
  const test = await openWalSource({ url: server.url });
  onTestFinished(() => test.source.close());
  const probe = await connect(server.url);
  await admin.query("set synchronous_commit = local");
  await admin.query("alter system set synchronous_standby_names = 'nobody'");
  await admin.query("select pg_reload_conf()");
  const released = new AbortController();
  const probing = (async () => {
    while (!released.signal.aborted) await probe.query("select pg_logical_emit_message(true, 'probe', '')");
  })();
  const waiting = "select from pg_stat_activity where wait_event = 'SyncRep'";
  await until(async () => (await admin.query(waiting)).rowCount, { describe: "commits to wait" });
  await test.watch("a", "todos");
  await admin.query("insert into public.todos values (1, 'a')");
  await test.sink.next("a", "todos", 1);
  released.abort();
  await admin.query("alter system set synchronous_standby_names = ''");
  await admin.query("select pg_reload_conf()");
  await probing;
});

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  client.on("error", () => undefined);
  onTestFinished(() => client.end());
  return client;
}
