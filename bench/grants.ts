import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { figure } from "./support/markdown-table.ts";
import type { PacedResult, PacedWriterCalls } from "./support/paced-writer-worker.ts";
import { runSql } from "./support/run-sql.ts";
import { ServerProcess, sourceConfig } from "./support/server-process.ts";
import { percentile } from "./support/statistics.ts";
import type { Received } from "./support/subscriber-group.ts";
import { Subscribers } from "./support/subscribers.ts";
import { cpuSecondsOf } from "./support/process-usage.ts";
import { fetchTokens, type TokenGrant } from "./support/realtime-token.ts";
import { createTenant, type BenchTenant } from "./support/tenant.ts";
import { WorkerProcess } from "./support/worker-process.ts";

const SUBSCRIBERS = 3000;
const TEAMS = 5;
const WRITER_CONNECTIONS = 8;
const SHORT_SHARE = 6;
const FILES_BESIDE_CONNECTIONS = 200;
const TABLE_SQL = `create table granted (id bigint generated always as identity primary key,
  tenant_id text not null, reader text not null, seq text not null, title text not null)`;
const SUBJECT = { collection: "granted" };

/** What is written, and for whom. */
interface Load {
  readonly title: string;
  readonly group: "one" | "many";
  readonly perSecond: number;
  readonly seconds: number;
  readonly prefix: "user" | "team";
}

const LOADS: readonly Load[] = [
  { title: "1, of all rows", group: "one", perSecond: 1000, seconds: 9, prefix: "user" },
  { title: "3,000, each of its own rows", group: "many", perSecond: 1000, seconds: 15, prefix: "user" },
  {
    title: "3,000, each change for 600 of them",
    group: "many",
    perSecond: TEAMS,
    seconds: 20,
    prefix: "team",
  },
];

/** From a commit until the one client that may see the row has it, among thousands that may not. */
export const grants: Benchmark = { name: "grants", title: "Row-level grants", run };

async function run({ short, machine, profileDir, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  if (machine.maxOpenFiles < SUBSCRIBERS + FILES_BESIDE_CONNECTIONS) {
    throw new Error(`Grants need more open files: run "ulimit -n ${SUBSCRIBERS * 2}" first.`);
  }
  const server = await ServerProcess.start({ profileDir, config: sourceConfig("wal") });
  const subscribers = new Subscribers();
  const writer = new WorkerProcess<PacedWriterCalls>(
    new URL("support/paced-writer-worker.ts", import.meta.url),
  );
  try {
    await runSql(server.databaseUrl, TABLE_SQL);
    await writer.call("open", { url: server.databaseUrl, connections: WRITER_CONNECTIONS });
    const tenant = await createTenant(server, "bench");
    const parts = { server, subscribers, writer };
    const rows: string[][] = [];
    let first = 0;
    let open: Load["group"] | undefined;
    for (const load of LOADS) {
      progress(load.title);
      if (load.group !== open) {
        if (open !== undefined) await subscribers.closeGroup(open);
        await openGroup(parts, tenant, load.group);
        open = load.group;
      }
      const outcome = await runLoad(parts, load, { first, short });
      rows.push(rowOf(load, outcome));
      first += outcome.changes;
    }
    return { table: { head: HEAD, rows: [...rows, PUBLISHED] }, notes: NOTES };
  } finally {
    await writer.close();
    await subscribers.close();
    await server.stop();
  }
}

const HEAD = [
  "subscribers",
  "changes/s",
  "events/s",
  "commit → client p50",
  "p95",
  "p99",
  "server's CPU, of one core",
  "per change",
];
const PUBLISHED = ["Supabase publishes: 3,000, authorised", "5", "3,000", "", "616 ms", "", "", ""];

const NOTES = [
  "SSE in mode `wal`, single-row INSERT transactions of about 200 bytes at an even pace from another process, all of one tenant and one collection. Each of the 3,000 has a token of its own, whose filter grants it " +
    '`{"reader":{"$in":["user17","team2"]}}`, no two of them the same rows: a change is for one subscriber, or, in the last load, for the 600 of a team. Each got exactly its own rows, once; the run fails otherwise. *Commit* is the moment at which ' +
    "the writer has PostgreSQL's answer; writer, clients, server and database share the machine. The first line is what the same writes cost without grants, with one subscriber to all of them.",
  "Supabase's figures are those of its [Postgres Changes](https://supabase.com/docs/guides/realtime/postgres-changes) with row-level security on a micro instance " +
    "([source of its table](https://github.com/supabase/supabase/blob/master/apps/docs/data/realtime/throughput.json)): on its machines and over its network, so they are context rather than a measurement of ours. " +
    "At 5 changes a second each client there gets one, so that the third line is the same load.",
];

interface Parts {
  readonly server: ServerProcess;
  readonly subscribers: Subscribers;
  readonly writer: WorkerProcess<PacedWriterCalls>;
}

interface Outcome {
  readonly changes: number;
  readonly perSecond: number;
  readonly cpuSeconds: number;
  readonly delaysMs: readonly number[];
}

async function openGroup(
  { server, subscribers }: Parts,
  tenant: BenchTenant,
  group: Load["group"],
): Promise<void> {
  if (group === "one") {
    const { anonKey: key } = tenant;
    await subscribers.open(group, server, { key, subject: SUBJECT, connections: 1, recordArrivals: true });
    return;
  }
  const tokens = await fetchTokens(server, tenant, Array.from({ length: SUBSCRIBERS }, grantOf));
  await subscribers.openWithTokens(group, server, { tokens, subject: SUBJECT });
}

function grantOf(_: unknown, index: number): TokenGrant {
  const filters = { granted: { reader: { $in: [`user${index}`, `team${index % TEAMS}`] } } };
  return { collections: Object.keys(filters), filters };
}

/** As many changes for each subscriber. */
function changesOf({ perSecond, seconds, prefix }: Load, short: boolean): number {
  const wanted = perSecond * (short ? seconds / SHORT_SHARE : seconds);
  const readers = prefix === "team" ? TEAMS : SUBSCRIBERS;
  return Math.max(1, Math.round(wanted / readers)) * readers;
}

async function runLoad(
  { server, subscribers, writer }: Parts,
  load: Load,
  { first, short }: { readonly first: number; readonly short: boolean },
): Promise<Outcome> {
  const count = changesOf(load, short);
  const readers = load.prefix === "team" ? TEAMS : SUBSCRIBERS;
  const cpuBefore = await cpuSecondsOf([server.pid]);
  const writing = { first, count, perSecond: load.perSecond, prefix: load.prefix, readers };
  const written = await writer.call("write", writing);
  const each = load.group === "one" ? count : count / readers;
  const received = await subscribers.receive(load.group, each);
  const cpuSeconds = (await cpuSecondsOf([server.pid])) - cpuBefore;
  requireOwn(received, load.group === "one" ? 1 : readers, first, count);
  return {
    changes: count,
    perSecond: written.perSecond,
    cpuSeconds,
    delaysMs: delaysOf(received, written, first),
  };
}

/** Each connection must have what is for it, by its number, and nothing else. */
function requireOwn({ events, sequenceSums }: Received, readers: number, first: number, count: number): void {
  const each = count / readers;
  for (const [index, got] of events.entries()) {
    const lowest = first + ((((index - first) % readers) + readers) % readers);
    const sum = each * lowest + (readers * each * (each - 1)) / 2;
    if (got !== each || sequenceSums[index] !== sum) {
      throw new Error(`Subscriber ${index} got ${got} events, not exactly its own ${each}.`);
    }
  }
}

function delaysOf({ arrivals }: Received, { committedAtMs }: PacedResult, first: number): readonly number[] {
  const delays: number[] = [];
  for (let index = 0; index < arrivals.length; index += 2) {
    const commit = committedAtMs[(arrivals[index] ?? 0) - first];
    const atMs = arrivals[index + 1];
    if (commit === undefined || atMs === undefined) throw new Error("An event came that nobody wrote.");
    delays.push(atMs - commit);
  }
  return delays;
}

function rowOf(load: Load, { changes, perSecond, cpuSeconds, delaysMs }: Outcome): string[] {
  const share = (cpuSeconds * perSecond) / changes;
  return [
    load.title,
    figure(perSecond),
    figure((perSecond * delaysMs.length) / changes),
    ...[0.5, 0.95, 0.99].map((p) => `${figure(percentile(delaysMs, p))} ms`),
    `${figure(share * 100)} %`,
    `${figure((cpuSeconds * 1e6) / changes)} µs`,
  ];
}
