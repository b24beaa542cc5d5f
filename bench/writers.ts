import { Client } from "pg";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { figure, ratioText } from "./support/markdown-table.ts";
import { ServerProcess } from "./support/server-process.ts";
import { Rounds } from "./support/statistics.ts";
import { Subscribers } from "./support/subscribers.ts";
import { createTenant } from "./support/tenant.ts";
import { WorkerProcess } from "./support/worker-process.ts";
import type { WriterCalls, WriterTarget } from "./support/writer-worker.ts";

const COLUMNS = "seq text not null, title text not null";
const TABLES_SQL = `
create table watched (id bigint generated always as identity primary key, tenant_id text not null, ${COLUMNS});
create table plain (id bigint generated always as identity primary key, org_id text not null, ${COLUMNS});`;

type Variant = "none" | "unwatched" | "watched";

/** `plain` has no tenant column, so it is no collection and has no trigger. */
const TARGETS: Record<Variant, WriterTarget> = {
  none: { table: "plain", tenantColumn: "org_id", tenant: "watched" },
  unwatched: { table: "watched", tenantColumn: "tenant_id", tenant: "unwatched" },
  watched: { table: "watched", tenantColumn: "tenant_id", tenant: "watched" },
};
const VARIANTS: readonly Variant[] = ["none", "unwatched", "watched"];
const WRITERS = [1, 4, 16];

/** What the trigger costs the application's writes. */
export const writers: Benchmark = { name: "writers", title: "Writers", run };

async function run({ short, progress, profileDir }: BenchmarkContext): Promise<BenchmarkReport> {
  const durationMs = short ? 500 : 1500;
  const rounds = short ? 1 : 5;
  const server = await ServerProcess.start({ profileDir });
  const subscribers = new Subscribers();
  const worker = new WorkerProcess<WriterCalls>(new URL("support/writer-worker.ts", import.meta.url));
  try {
    await createTables(server.databaseUrl);
    const { anonKey: key } = await createTenant(server, "watched");
    await subscribers.open("one", server, { key, subject: { collection: "watched" }, connections: 1 });
    const rows: string[][] = [];
    for (const count of WRITERS) {
      progress(`${count} writers`);
      const rates = new Rounds<Variant>();
      await worker.call("open", { url: server.databaseUrl, writers: count });
      for (let round = 0; round <= rounds; round += 1) {
        for (const variant of rotated(VARIANTS, round)) {
          const rate = await writeRound(worker, subscribers, variant, durationMs);
          // The first round warms plans, caches and the table's files up.
          if (round > 0) rates.add(variant, rate);
        }
      }
      await worker.call("close", {});
      rows.push(rowOf(count, rates));
    }
    return { table: { head: HEAD, rows }, notes: notesOf(rounds, durationMs) };
  } finally {
    await worker.close();
    await subscribers.close();
    await server.stop();
  }
}

const HEAD = [
  "writers",
  "without trigger",
  "trigger, nobody subscribed",
  "ratio",
  "trigger, one subscriber",
  "ratio",
];

function notesOf(rounds: number, durationMs: number): string[] {
  return [
    `Single-row INSERT transactions of about 200 bytes, synced to disk, each writer's next after its last, for ${durationMs / 1000} s; ` +
      `variants in turn, medians of ${rounds} rounds and of the rounds' ratios to no trigger. All writes are to one table and one tenant. Writers (one ` +
      "process), server, client and database share the machine. The subscriber got every row that was committed.",
  ];
}

async function createTables(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(TABLES_SQL);
  } finally {
    await client.end();
  }
}

/** @returns commits per second. */
async function writeRound(
  worker: WorkerProcess<WriterCalls>,
  subscribers: Subscribers,
  variant: Variant,
  durationMs: number,
): Promise<number> {
  const { commits } = await worker.call("write", { target: TARGETS[variant], durationMs });
  const { events } = await subscribers.receive("one", variant === "watched" ? commits : 0);
  const expected = variant === "watched" ? commits : 0;
  if (events[0] !== expected) throw new Error(`The subscriber got ${events[0] ?? 0} rows of ${expected}.`);
  return commits / (durationMs / 1000);
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function rowOf(count: number, rates: Rounds<Variant>): string[] {
  return [
    String(count),
    `${figure(rates.median("none"))}/s`,
    `${figure(rates.median("unwatched"))}/s`,
    ratioText(rates.ratio("unwatched", "none")),
    `${figure(rates.median("watched"))}/s`,
    ratioText(rates.ratio("watched", "none")),
  ];
}
