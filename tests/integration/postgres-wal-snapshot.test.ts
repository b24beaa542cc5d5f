import { Client } from "pg";
import { expect, it, onTestFinished } from "vitest";
import { startPostgres } from "../support/postgres.ts";
import { describeSnapshots } from "../support/postgres-source-snapshots.ts";
import { openWalSource } from "../support/postgres-wal.ts";
import { eventsAfter, readAll, StrictState, takeSnapshot } from "../support/snapshots.ts";
import { until } from "../support/until.ts";

describeSnapshots(openWalSource);

it("tells apart what was streamed before anybody else could see it", async () => {
  const server = await startPostgres({ settings: { synchronous_commit: "local" } });
  onTestFinished(() => server.stop());
  const admin = await connect(server.url);
  await admin.query("create table public.early (id int primary key, tenant_id text, n int)");
  await admin.query("insert into public.early values (1, 'a', 1), (2, 'b', 1)");
  const test = await openWalSource({ url: server.url });
  onTestFinished(() => test.source.close());
  const [a, b] = ["a", "b"].map((tenant) => ({ tenant, collection: "early" }));
  if (a === undefined || b === undefined) throw new Error("There are two tenants.");
  await test.source.watch(a);

  // A standby that never answers: commits are in the log, and streamed, but not visible until we say so.
  await admin.query("alter system set synchronous_standby_names = 'nobody'");
  await admin.query("select pg_reload_conf()");
  const writer = await connect(server.url);
  const probe = await connect(server.url);
  for (const client of [writer, probe]) await client.query("set synchronous_commit = on");
  const released = new AbortController();
  const probing = (async () => {
    while (!released.signal.aborted) await probe.query("select pg_logical_emit_message(true, 'probe', '')");
  })();
  const isWaiting = "select from pg_stat_activity where wait_event = 'SyncRep'";
  await until(async () => (await admin.query(isWaiting)).rowCount, { describe: "commits to wait" });

  const committed = writer.query("update public.early set n = n + 1");
  await test.sink.next("a", "early", 1);
  const rows = await admin.query("select n from public.early where n = 2");
  expect(rows.rowCount).toBe(0);

  // The channel that was watched has the change: it comes after the snapshot, which does not see it.
  const taken = await takeSnapshot(test.source, a);
  const state = new StrictState();
  state.add(await readAll(taken));
  const seam = await taken.seam();
  for (const event of eventsAfter(test.sink, a, taken, seam)) state.apply(event);
  expect(state.documents.get("1")).toMatchObject({ n: 2 });

  // The other has missed it: a snapshot that does not see it must not be taken for complete.
  const watchedSince = await test.source.watch(b);
  const early = await takeSnapshot(test.source, b);
  expect((await readAll(early)).map(({ document }) => document)).toEqual(['{"id":2,"tenant_id":"b","n":1}']);
  expect(early.since < watchedSince).toBe(true);

  released.abort();
  await admin.query("alter system set synchronous_standby_names = ''");
  await admin.query("select pg_reload_conf()");
  await Promise.all([committed, probing]);
  const late = await takeSnapshot(test.source, b);
  expect((await readAll(late)).map(({ document }) => document)).toEqual(['{"id":2,"tenant_id":"b","n":2}']);
  expect(late.since >= watchedSince).toBe(true);
});

it("meets prepared transactions, wherever they are committed", async () => {
  const server = await startPostgres({ settings: { max_prepared_transactions: "4" } });
  onTestFinished(() => server.stop());
  const admin = await connect(server.url);
  await admin.query("create table public.prepared (id int primary key, tenant_id text, n int)");
  await admin.query("insert into public.prepared select i, 'a', 1 from generate_series(1, 4) i");
  const test = await openWalSource({ url: server.url });
  onTestFinished(() => test.source.close());
  const key = { tenant: "a", collection: "prepared" };
  await test.source.watch(key);
  for (const id of [1, 2, 3]) {
    await admin.query(`begin; savepoint s; update public.prepared set n = 2 where id = ${String(id)}`);
    await admin.query(`release s; prepare transaction 'p${String(id)}'`);
  }
  await admin.query("commit prepared 'p1'");
  const taken = await takeSnapshot(test.source, key);
  await admin.query("commit prepared 'p2'");
  const state = new StrictState();
  state.add(await readAll(taken));
  expect(
    [...state.documents.values()].map(({ n }) => Number(n)).toSorted((one, other) => one - other),
  ).toEqual([1, 1, 1, 2]);
  const seam = await taken.seam();
  expect(eventsAfter(test.sink, key, taken, seam)).toHaveLength(1);
  await admin.query("commit prepared 'p3'");
  await test.sink.next("a", "prepared", 3);
  for (const event of eventsAfter(test.sink, key, taken, seam)) state.apply(event);
  expect(Object.fromEntries([...state.documents].map(([id, { n }]) => [id, n]))).toEqual({
    1: 2,
    2: 2,
    3: 2,
    4: 1,
  });
});

it("does not remember commits for ever", async () => {
  const server = await startPostgres();
  onTestFinished(() => server.stop());
  const admin = await connect(server.url);
  await admin.query("create table public.many (id int primary key, tenant_id text, n int)");
  await admin.query("insert into public.many values (1, 'a', 1)");
  const test = await openWalSource({ url: server.url });
  onTestFinished(() => test.source.close());
  const key = { tenant: "a", collection: "many" };
  await test.source.watch(key);
  // More transactions than are remembered before it is asked which are visible.
  await admin.query(
    "create procedure public.often() language plpgsql as $$ begin for i in 1..9000 loop update public.many set n = n + 1; commit; end loop; end $$",
  );
  const called = admin.query("call public.often()");
  const snapshots = [];
  for (let count = 0; count < 5; count++) {
    const taken = await takeSnapshot(test.source, key);
    const state = new StrictState();
    state.add(await readAll(taken));
    snapshots.push({ taken, state, seam: await taken.seam() });
  }
  await called;
  await until(() => test.sink.changes("a", "many").length === 9000);
  for (const { taken, state, seam } of snapshots) {
    for (const event of eventsAfter(test.sink, key, taken, seam)) state.apply(event);
    expect(state.documents.get("1")).toMatchObject({ n: 9001 });
  }
});

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}
