import { setTimeout as delay } from "node:timers/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { monotonicMs } from "./support/clock.ts";
import { figure } from "./support/markdown-table.ts";
import { startBenchMongo, type BenchMongo } from "./support/mongo-server.ts";
import { percentile } from "./support/statistics.ts";
import type { StreamCalls } from "./support/stream-worker.ts";
import { WorkerProcess } from "./support/worker-process.ts";

/** How many tenants join, and over how long. */
const CASES = [
  { tenants: 1, spreadMs: 0 },
  { tenants: 1000, spreadMs: 0 },
  { tenants: 1000, spreadMs: 5000 },
] as const;
const WRITES_PER_SECOND = 100;
const WRITES_BEFORE = 50;
const WRITES_AFTER = 200;
const RECEIVE_TIMEOUT_MS = 60_000;

/** When a document was written: `n` is its place in the list. */
interface Write {
  readonly tenant: string;
  readonly sentAtMs: number;
}

/** A thousand tenants join one collection while it is written to. */
export const mongoJoins: Benchmark = { name: "mongo-joins", title: "MongoDB: tenants that join", run };

async function run({ short, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const rows: string[][] = [];
  for (const { tenants, spreadMs } of CASES) {
    const count = short ? Math.ceil(tenants / 10) : tenants;
    progress(`${String(count)} tenants join`);
    rows.push(await measure(count, spreadMs));
  }
  return { table: { head: HEAD, rows }, notes: NOTES };
}

const HEAD = ["tenants that join", "join p50", "p99", "all live after", "streams opened", "writes meanwhile"];

const NOTES = [
  `${String(WRITES_PER_SECOND)} single inserts a second into one collection, for random tenants, before, while and after all of them join. *join* is the ` +
    "time from a tenant's request until it is live. Every event written after its tenant was live came, once and in order; the run fails otherwise. SecantusDB " +
    "stands in for MongoDB.",
];

async function measure(tenants: number, spreadMs: number): Promise<string[]> {
  const mongo = await startBenchMongo();
  const worker = new WorkerProcess<StreamCalls>(new URL("support/stream-worker.ts", import.meta.url));
  const writer = new SteadyWriter(mongo, tenants);
  try {
    const { url, database } = mongo;
    const collection = mongo.collection.collectionName;
    await worker.call("open", { url, database, collection, variant: "ours" });
    writer.start();
    await writer.until(WRITES_BEFORE);
    const before = writer.writes.length;
    const joined = await worker.call("join", { tenants, spreadMs });
    const during = writer.writes.length - before;
    await writer.until(writer.writes.length + WRITES_AFTER);
    await writer.stop();
    await requireComplete(worker, writer.writes, joined.liveAtMs);
    return [
      `${tenants.toLocaleString("en-US")} ${spreadMs === 0 ? "at once" : `over ${String(spreadMs / 1000)} s`}`,
      `${figure(percentile(joined.joinMs, 0.5))} ms`,
      `${figure(percentile(joined.joinMs, 0.99))} ms`,
      `${figure(joined.totalMs)} ms`,
      String(joined.opens),
      String(during),
    ];
  } finally {
    await writer.stop();
    await worker.close();
    await mongo.stop();
  }
}

/** @throws when an event that was written after its tenant was live is missing, out of order or there twice. */
async function requireComplete(
  worker: WorkerProcess<StreamCalls>,
  writes: readonly Write[],
  liveAtMs: readonly number[],
): Promise<void> {
  const deadlineMs = monotonicMs() + RECEIVE_TIMEOUT_MS;
  for (;;) {
    const numbers = await worker.call("numbers", {});
    const problem = findProblem(numbers, writes, liveAtMs);
    if (problem === undefined) return;
    if (monotonicMs() > deadlineMs) throw new Error(problem);
    await delay(100);
  }
}

function findProblem(
  numbers: Readonly<Record<string, readonly number[]>>,
  writes: readonly Write[],
  liveAtMs: readonly number[],
): string | undefined {
  for (const [index, atMs] of liveAtMs.entries()) {
    const tenant = `t${String(index)}`;
    const received = numbers[tenant] ?? [];
    const own = writes.flatMap((write, n) => (write.tenant === tenant ? [{ ...write, n }] : []));
    const must = own.filter(({ sentAtMs }) => sentAtMs > atMs).map(({ n }) => n);
    const ascends = received.every((n, place) => place === 0 || n > (received[place - 1] ?? 0));
    if (!ascends) return `Tenant ${tenant} got events twice or out of order.`;
    if (received.some((n) => writes[n]?.tenant !== tenant)) return `Tenant ${tenant} got another's events.`;
    const missing = must.filter((n) => !received.includes(n));
    if (missing.length > 0) return `Tenant ${tenant} missed ${String(missing.length)} events.`;
  }
  return undefined;
}

/** Writes at a steady rate, each write after the one before. */
class SteadyWriter {
  readonly writes: Write[] = [];
  readonly #mongo: BenchMongo;
  readonly #tenants: number;
  #stopped = false;
  #running: Promise<void> | undefined;

  constructor(mongo: BenchMongo, tenants: number) {
    this.#mongo = mongo;
    this.#tenants = tenants;
  }

  start(): void {
    this.#running = this.#run();
  }

  async until(count: number): Promise<void> {
    while (this.writes.length < count) await Promise.race([delay(5), this.#running]);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const startedAtMs = monotonicMs();
    while (!this.#stopped) {
      const tenant = `t${String(Math.floor(Math.random() * this.#tenants))}`;
      const n = this.writes.push({ tenant, sentAtMs: monotonicMs() }) - 1;
      await this.#mongo.collection.insertOne({ tenantId: tenant, n });
      const dueAtMs = startedAtMs + ((n + 1) / WRITES_PER_SECOND) * 1000;
      await delay(Math.max(0, dueAtMs - monotonicMs()));
    }
  }
}
