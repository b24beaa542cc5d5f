import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { monotonicMs } from "./support/clock.ts";
import { sequenceText } from "./support/sequence-text.ts";
import { figure } from "./support/markdown-table.ts";
import { ServerProcess, sourceConfig } from "./support/server-process.ts";
import { percentile } from "./support/statistics.ts";
import { requireComplete, Subscribers } from "./support/subscribers.ts";
import { createTenant } from "./support/tenant.ts";

const TABLE_SQL = `create table latency (
  id bigint generated always as identity primary key,
  tenant_id text not null,
  seq text not null,
  title text not null)`;
const INSERT_SQL = "insert into latency (tenant_id, seq, title) values ('bench', $1, $2)";
const SUBJECT = { collection: "latency" };
const TITLE = "A row of about two hundred bytes, as JSON. ".repeat(3);
const PAUSE_MS = 5;
const WARM_UP_WRITES = 50;

/** When a row was written, by its sequence: ms on the monotonic clock. */
interface Write {
  readonly sentAtMs: number;
  readonly committedAtMs: number;
}

/** From a commit in PostgreSQL until the client has the event. */
export const latency: Benchmark = { name: "latency", title: "Commit → client", run };

async function run({ short, progress, profileDir }: BenchmarkContext): Promise<BenchmarkReport> {
  const writes = short ? 200 : 1500;
  const rows: string[][] = [];
  for (const mode of ["wal", "notify"] as const) {
    const server = await ServerProcess.start({ profileDir, config: sourceConfig(mode) });
    const subscribers = new Subscribers();
    const client = new Client({ connectionString: server.databaseUrl });
    try {
      await client.connect();
      await client.query(TABLE_SQL);
      const { anonKey: key } = await createTenant(server, "bench");
      let first = 1;
      for (const connections of [1, 100]) {
        progress(`${mode}, ${connections} clients, ${writes} writes`);
        const subscription = { key, subject: SUBJECT, connections, recordArrivals: true };
        await subscribers.open("clients", server, subscription);
        rows.push([`\`${mode}\`, ${connections}`, ...(await measure(client, subscribers, first, writes))]);
        first += WARM_UP_WRITES + writes;
        await subscribers.closeGroup("clients");
      }
    } finally {
      await client.end();
      await subscribers.close();
      await server.stop();
    }
  }
  return { table: { head: HEAD, rows }, notes: notesOf(writes) };
}

async function measure(
  client: Client,
  subscribers: Subscribers,
  first: number,
  writes: number,
): Promise<string[]> {
  await writeRows(client, first, WARM_UP_WRITES);
  requireComplete(await subscribers.receive("clients", WARM_UP_WRITES), first, WARM_UP_WRITES);
  const start = first + WARM_UP_WRITES;
  const written = await writeRows(client, start, writes);
  const received = await subscribers.receive("clients", writes);
  requireComplete(received, start, writes);
  return figuresOf([...written.values()], delaysOf(written, received.arrivals));
}

const HEAD = [
  "mode, SSE clients",
  "commit → client p50",
  "p99",
  "INSERT sent → client p50",
  "p99",
  "the INSERT alone p50",
];

function notesOf(writes: number): string[] {
  return [
    `One writer, a single-row transaction at a time with ${PAUSE_MS} ms between, ${writes} of them; percentiles over all events of all ` +
      "clients. *commit* is the moment at which the writer has PostgreSQL's answer, so the figure can be below zero; *INSERT sent* includes " +
      "the write itself and its sync to disk. Writer and clients are two processes that read one monotonic clock.",
  ];
}

async function writeRows(client: Client, first: number, count: number): Promise<Map<number, Write>> {
  const written = new Map<number, Write>();
  for (let sequence = first; sequence < first + count; sequence += 1) {
    const sentAtMs = monotonicMs();
    await client.query({ name: "write", text: INSERT_SQL, values: [sequenceText(sequence), TITLE] });
    written.set(sequence, { sentAtMs, committedAtMs: monotonicMs() });
    await delay(PAUSE_MS);
  }
  return written;
}

interface Delays {
  readonly sinceCommitMs: readonly number[];
  readonly sinceSentMs: readonly number[];
}

function delaysOf(written: ReadonlyMap<number, Write>, arrivals: Float64Array): Delays {
  const sinceCommitMs: number[] = [];
  const sinceSentMs: number[] = [];
  for (let index = 0; index < arrivals.length; index += 2) {
    const write = written.get(arrivals[index] ?? 0);
    const atMs = arrivals[index + 1];
    if (write === undefined || atMs === undefined) throw new Error("An event came that nobody wrote.");
    sinceCommitMs.push(atMs - write.committedAtMs);
    sinceSentMs.push(atMs - write.sentAtMs);
  }
  return { sinceCommitMs, sinceSentMs };
}

function figuresOf(writes: readonly Write[], delays: Delays): string[] {
  const inserts = writes.map(({ sentAtMs, committedAtMs }) => committedAtMs - sentAtMs);
  const columns = [
    percentile(delays.sinceCommitMs, 0.5),
    percentile(delays.sinceCommitMs, 0.99),
    percentile(delays.sinceSentMs, 0.5),
    percentile(delays.sinceSentMs, 0.99),
    percentile(inserts, 0.5),
  ];
  return columns.map((ms) => `${figure(ms)} ms`);
}
