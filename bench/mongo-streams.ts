import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { monotonicMs } from "./support/clock.ts";
import { figure, ratioText } from "./support/markdown-table.ts";
import { startBenchMongo, type BenchMongo } from "./support/mongo-server.ts";
import { cpuSecondsOf } from "./support/process-usage.ts";
import type { StreamCalls, StreamVariant } from "./support/stream-worker.ts";
import { WorkerProcess } from "./support/worker-process.ts";

const TENANTS = [1, 10, 100, 1000];
const WARM_UP_EVENTS = 200;
const TIMEOUT_MS = 90_000;

/** One run of a variant. */
interface Figures {
  readonly eventsPerSecond: number;
  readonly cpuUs: number;
  /** Of the database's process, writes included. */
  readonly databaseUs: number;
}

/** One change stream for all tenants against one for each. */
export const mongoStreams: Benchmark = {
  name: "mongo-streams",
  title: "MongoDB: one stream for all tenants",
  run,
};

async function run({ short, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const events = short ? 1000 : 5000;
  const rows: string[][] = [];
  let naiveGoesOn = true;
  for (const tenants of short ? TENANTS.slice(0, -1) : TENANTS) {
    progress(`${String(tenants)} tenants, our one stream`);
    const ours = await measure("ours", tenants, events);
    if (ours === undefined) throw new Error(`Our stream did not deliver ${String(events)} events.`);
    if (naiveGoesOn) progress(`${String(tenants)} tenants, a stream each`);
    const naive: Figures | undefined = naiveGoesOn
      ? await measureNaive(tenants, events, progress)
      : undefined;
    naiveGoesOn = naive !== undefined;
    rows.push(rowOf(tenants, ours, naive));
  }
  return { table: { head: HEAD, rows }, notes: notesOf(events) };
}

const HEAD = [
  "tenants subscribed",
  "one stream",
  "CPU per event",
  "database's CPU",
  "a stream each",
  "CPU per event",
  "database's CPU",
  "events/s, ratio",
  "CPU, ratio",
];

function notesOf(events: number): string[] {
  return [
    `${events.toLocaleString("en-US")} inserts of about 200 bytes, in batches of 100, for all tenants in turn; from the first write until the last ` +
      "event. *One stream* is the server's MongoDB source, its events as JSON. *A stream each* is `collection.watch()` with a `$match` of one tenant, and " +
      "`JSON.stringify`, on one client. *CPU per event* is that of the process that reads; the database's includes the writes. Each ratio is one stream's figure over " +
      "the other's. A dash: not all events had come within 90 s, or not all streams could be opened.",
    "The database is SecantusDB, which stands in for MongoDB in this project's tests. There every write wakes every waiting stream, so many streams cost it more than they cost " +
      "MongoDB; and it compares a document with each tenant of the `$match` in turn, where MongoDB looks it up in a sorted list. That each stream reads the whole oplog, and holds a connection, is true of both.",
  ];
}

/** Undefined where it cannot be done: a server has only so many streams. */
async function measureNaive(
  tenants: number,
  events: number,
  progress: BenchmarkContext["progress"],
): Promise<Figures | undefined> {
  try {
    return await measure("naive", tenants, events);
  } catch (error) {
    progress(`a stream each: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

async function measure(
  variant: StreamVariant,
  tenants: number,
  events: number,
): Promise<Figures | undefined> {
  const mongo = await startBenchMongo();
  const worker = new WorkerProcess<StreamCalls>(new URL("support/stream-worker.ts", import.meta.url));
  try {
    const { url, database } = mongo;
    await worker.call("open", { url, database, collection: mongo.collection.collectionName, variant });
    const joined = await Promise.race([worker.call("join", { tenants, spreadMs: 0 }), timeUp()]);
    if (joined === undefined) return undefined;
    return await measureEvents(mongo, worker, tenants, events);
  } finally {
    await worker.close();
    await mongo.stop();
  }
}

async function measureEvents(
  mongo: BenchMongo,
  worker: WorkerProcess<StreamCalls>,
  tenants: number,
  events: number,
): Promise<Figures | undefined> {
  await mongo.insert(WARM_UP_EVENTS, tenants);
  const warm = await worker.call("receive", { events: WARM_UP_EVENTS, timeoutMs: TIMEOUT_MS });
  if (warm.events < WARM_UP_EVENTS) return undefined;
  await worker.call("reset", {});
  const databaseBefore = await cpuSecondsOf([mongo.pid]);
  const startedAtMs = monotonicMs();
  const [received] = await Promise.all([
    worker.call("receive", { events, timeoutMs: TIMEOUT_MS }),
    mongo.insert(events, tenants),
  ]);
  const databaseAfter = await cpuSecondsOf([mongo.pid]);
  if (received.events < events) return undefined;
  if (received.events > events) throw new Error("Events came twice.");
  return {
    eventsPerSecond: events / ((received.lastAtMs - startedAtMs) / 1000),
    cpuUs: (received.cpuMs / events) * 1000,
    databaseUs: ((databaseAfter - databaseBefore) * 1e6) / events,
  };
}

function timeUp(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), TIMEOUT_MS).unref();
  });
}

function rowOf(tenants: number, ours: Figures, naive: Figures | undefined): string[] {
  const cells = (figures: Figures | undefined): string[] => {
    if (figures === undefined) return ["–", "–", "–"];
    const { eventsPerSecond, cpuUs, databaseUs } = figures;
    return [`${figure(eventsPerSecond)}/s`, `${figure(cpuUs)} µs`, `${figure(databaseUs)} µs`];
  };
  const ratios =
    naive === undefined
      ? ["–", "–"]
      : [ratioText(ours.eventsPerSecond / naive.eventsPerSecond), ratioText(ours.cpuUs / naive.cpuUs)];
  return [tenants.toLocaleString("en-US"), ...cells(ours), ...cells(naive), ...ratios];
}
