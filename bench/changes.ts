import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { ChangeLoad, LAG_LIMIT_MS, WRITERS, type StepResult } from "./support/change-load.ts";
import { CHANGE_WAYS, type ChangeWay } from "./support/change-ways.ts";
import { figure } from "./support/markdown-table.ts";

const SECONDS = 5;
const SHORT_SECONDS = 1.5;
const SHORT_STEP = 3;
/** The first steps of a process are for the compiler. */
const WARM_UP = { perSecond: 2_000, seconds: 2 };

/** How many changes a second go from their commits to clients before they come late. */
export const changes: Benchmark = { name: "changes", title: "Database to browser", run };

async function run({ short, profileDir, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const rows: string[][] = [];
  for (const open of CHANGE_WAYS) {
    const closing: (() => Promise<void>)[] = [];
    const load = new ChangeLoad();
    try {
      const ways = await open(profileDir, (close) => closing.unshift(close));
      for (const way of ways) {
        progress(`${way.title}: opening`);
        await load.open(way);
        await load.step(way, { ...WARM_UP, rowsPerTransaction: way.rowsPerTransaction });
      }
      rows.push(...(await climb(load, ways, { seconds: short ? SHORT_SECONDS : SECONDS, short, progress })));
    } finally {
      await load.close();
      for (const close of closing) await close();
    }
  }
  return { table: { head: HEAD, rows }, notes: NOTES };
}

interface Climb {
  readonly seconds: number;
  readonly short: boolean;
  readonly progress: (message: string) => void;
}

/** Each way as far as it comes, the ways in turn at each rate. */
async function climb(
  load: ChangeLoad,
  ways: readonly ChangeWay[],
  { seconds, short, progress }: Climb,
): Promise<string[][]> {
  const rows = new Map<ChangeWay, string[][]>(ways.map((way) => [way, []]));
  const left = new Set(ways);
  const rates = [...new Set(ways.flatMap((way) => way.rates))].toSorted((one, other) => one - other);
  for (const perSecond of rates) {
    for (const way of left) {
      // The short form takes the lowest rate, and the fourth.
      const place = way.rates.indexOf(perSecond);
      if (place === -1 || (short && place % SHORT_STEP > 0)) continue;
      progress(`${way.title}: ${figure(perSecond)}/s`);
      const { rowsPerTransaction } = way;
      const result = await load.step(way, { perSecond, seconds, rowsPerTransaction });
      rows.get(way)?.push(rowOf(way, perSecond, result));
      if (!result.isInTime || !result.isPaced) left.delete(way);
    }
  }
  return [...rows.values()].flat();
}

const HEAD = [
  "from where to where",
  "rows per transaction",
  "offered",
  "written",
  "commit → client p50",
  "p99",
  "lag at the end",
  "in time",
  "reader's CPU per change",
  "database's CPU per change",
];

const NOTES = [
  `Rows of 8 columns, about 250 bytes as JSON, for 100 tenants in turn, at an even pace from ${WRITERS} connections of another process, each transaction one INSERT of as many rows as the table says; ` +
    "each tenant has one client, which gets its own rows only. Each way was tried at a rising rate until changes or writers were late: *offered* is that rate, *written* what the writers made of it. " +
    `*In time*: no change came more than ${LAG_LIMIT_MS / 1000} s after its commit, for ${SECONDS} s (in the short form ${SHORT_SECONDS} s). *Commit* is the moment at which the writer has PostgreSQL's answer; *lag at ` +
    "the end*: from the last commit until the last client had its last change. Each change came once, in the order of its writer, to its own tenant only; the run fails otherwise. *CPU* is user and system of all cores: of the process that reads, and of all of the database's " +
    "processes, writing included. Database, writers, server and clients share the machine.",
  "Beside it, on a database of its own and at the same rates in turn: a plain server, `pg-logical-replication` 2.5.0 and `response.write()` of `JSON.stringify` to the tenant's client, without history, filters or hub; and a bare replication connection that throws away what comes.",
];

function rowOf({ title, rowsPerTransaction }: ChangeWay, perSecond: number, result: StepResult): string[] {
  const { written, p50Ms, p99Ms, lagMs, isInTime, isPaced, cpuUs, databaseUs } = result;
  return [
    title,
    String(rowsPerTransaction),
    `${figure(perSecond)}/s`,
    `${figure(written)}/s`,
    p50Ms === undefined ? "" : `${figure(p50Ms)} ms`,
    p99Ms === undefined ? "" : `${figure(p99Ms)} ms`,
    `${figure(lagMs)} ms`,
    isInTime ? (isPaced ? "yes" : "yes, the writers were not") : "no",
    `${figure(cpuUs)} µs`,
    Number.isNaN(databaseUs) ? "" : `${figure(databaseUs)} µs`,
  ];
}
