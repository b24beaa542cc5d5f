import { partsOf } from "./change-scanner.ts";
import type { ChangeClientCalls, ReceivedChanges } from "./change-client-worker.ts";
import { databaseCpuSeconds } from "./change-readers.ts";
import type { ChangeWay } from "./change-ways.ts";
import type { ChangeWriterCalls, WrittenChanges } from "./change-writer-worker.ts";
import { cpuSecondsOf } from "./process-usage.ts";
import { percentile } from "./statistics.ts";
import { WorkerProcess } from "./worker-process.ts";

/** Connections that write. */
export const WRITERS = 8;
/** What comes later after its commit is late. */
export const LAG_LIMIT_MS = 1_000;
/** Writers that fall further behind their pace do not keep it. */
const MIN_PACE = 0.95;
const WAIT_MS = 120_000;

/** What is written in a step. */
export interface Step {
  /** Rows of all writers. */
  readonly perSecond: number;
  readonly seconds: number;
  readonly rowsPerTransaction: number;
}

/** What a step showed. */
export interface StepResult {
  /** Rows a second, as they were. */
  readonly written: number;
  /** Commit → client; undefined where there are no clients. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  /** From the last commit until the last change was there. */
  readonly lagMs: number;
  /** No change was late. */
  readonly isInTime: boolean;
  /** The writers kept their pace. */
  readonly isPaced: boolean;
  /** CPU of the reader, per change. */
  readonly cpuUs: number;
  readonly databaseUs: number;
}

interface Opened {
  readonly writer: WorkerProcess<ChangeWriterCalls>;
  /** Of each writer. */
  next: number;
}

/** Writers and clients, for several ways in turn. */
export class ChangeLoad {
  readonly #clients = new WorkerProcess<ChangeClientCalls>(
    new URL("change-client-worker.ts", import.meta.url),
  );
  readonly #opened = new Map<ChangeWay, Opened>();

  /** Opens the way's writers and clients. */
  async open(way: ChangeWay): Promise<void> {
    const writer = new WorkerProcess<ChangeWriterCalls>(new URL("change-writer-worker.ts", import.meta.url));
    this.#opened.set(way, { writer, next: 0 });
    await writer.call("open", { url: way.reader.url, writers: WRITERS, target: way.target });
    const { port } = way.reader;
    if (port === undefined) return;
    const { connections, tenants, recordEvery } = way;
    await this.#clients.call("open", {
      group: way.title,
      target: { port, connections, tenants, recordEvery },
    });
  }

  /** Writes at a pace, and waits until all is there. */
  async step(way: ChangeWay, { perSecond, seconds, rowsPerTransaction }: Step): Promise<StepResult> {
    const opened = this.#opened.get(way);
    if (opened === undefined) throw new Error("The way is not open.");
    const { reader, tenants } = way;
    const transactions = Math.ceil((perSecond * seconds) / rowsPerTransaction / WRITERS);
    const rows = transactions * rowsPerTransaction * WRITERS;
    const first = opened.next;
    opened.next += transactions * rowsPerTransaction;
    await reader.start();
    try {
      const before = { reader: await cpuSecondsOf([reader.pid]), database: await databaseCpuSeconds(reader) };
      const written = await opened.writer.call("write", {
        first,
        transactions,
        rowsPerTransaction,
        tenants,
        perSecond,
      });
      const received = await this.#receive(way, rows);
      const cpuUs = (((await cpuSecondsOf([reader.pid])) - before.reader) * 1e6) / rows;
      const databaseUs = (((await databaseCpuSeconds(reader)) - before.database) * 1e6) / rows;
      const delays = delaysOf(received, written, { first, transactions, rowsPerTransaction });
      return { ...outcomeOf(written, received, delays, perSecond), cpuUs, databaseUs };
    } finally {
      await reader.stop();
    }
  }

  async close(): Promise<void> {
    await this.#clients.close();
    for (const { writer } of this.#opened.values()) await writer.close();
  }

  async #receive({ title, reader, connections, tenants }: ChangeWay, rows: number): Promise<ReceivedChanges> {
    if (reader.untilRead !== undefined) {
      return { events: rows, lastAtMs: await reader.untilRead(rows), arrivals: new Float64Array() };
    }
    // With one tenant, each client gets everything.
    const events = tenants === 1 ? rows * connections.length : rows;
    return this.#clients.call("receive", { group: title, events, timeoutMs: WAIT_MS });
  }
}

function outcomeOf(
  { committedAtMs, perSecond: written }: WrittenChanges,
  { lastAtMs }: ReceivedChanges,
  delays: Float64Array,
  perSecond: number,
): Omit<StepResult, "cpuUs" | "databaseUs"> {
  const lagMs = Math.max(0, lastAtMs - maximum(committedAtMs));
  const isInTime = Math.max(lagMs, delays.length === 0 ? 0 : maximum(delays)) < LAG_LIMIT_MS;
  return {
    written,
    p50Ms: delays.length === 0 ? undefined : percentile(delays, 0.5),
    p99Ms: delays.length === 0 ? undefined : percentile(delays, 0.99),
    lagMs,
    isInTime,
    isPaced: written >= perSecond * MIN_PACE,
  };
}

function delaysOf(
  { arrivals }: ReceivedChanges,
  { committedAtMs }: WrittenChanges,
  {
    first,
    transactions,
    rowsPerTransaction,
  }: { first: number; transactions: number; rowsPerTransaction: number },
): Float64Array {
  const delays = new Float64Array(arrivals.length / 2);
  for (let index = 0; index < delays.length; index += 1) {
    const { writer, number } = partsOf(arrivals[2 * index] ?? 0);
    const transaction = Math.floor((number - first) / rowsPerTransaction);
    const committed = committedAtMs[writer * transactions + transaction];
    const atMs = arrivals[2 * index + 1];
    if (transaction < 0 || transaction >= transactions || committed === undefined || atMs === undefined) {
      throw new Error("A change came that nobody wrote.");
    }
    delays[index] = atMs - committed;
  }
  return delays;
}

function maximum(samples: Float64Array): number {
  return samples.reduce((most, sample) => Math.max(most, sample), -Infinity);
}
