import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { ChangeLoad, type StepResult } from "./support/change-load.ts";
import { openOursOverSse } from "./support/change-ways.ts";
import { monotonicMs } from "./support/clock.ts";
import { figure } from "./support/markdown-table.ts";
import { readProfile, stageTimes, type ProfileWindow, type Stage } from "./support/profile-stages.ts";

const PER_SECOND = 20_000;
const SECONDS = 10;
const SHORT_SECONDS = 4;
const WARM_UP = { perSecond: 5_000, seconds: 3 };

const SOURCE = "source/postgres/wal/";
const STAGES: readonly Stage[] = [
  { title: "journal for a restart", files: new RegExp(`${SOURCE}(?:journal|event-bytes|acknowledgement)`) },
  {
    title: "replication connection",
    files: new RegExp(`/pg/|/pg-protocol/|${SOURCE}(?:replication-|streaming-protocol|copy-)`),
  },
  { title: "from the log's bytes to events", files: /\/source\// },
  { title: "history", files: /\/log\// },
  { title: "finding who gets what", files: /\/hub\/|\/telemetry\// },
  { title: "frames and connections", files: /\/transport\/|\/protocol\// },
  { title: "sockets of Node, in JavaScript", files: /^node:/ },
];

/** What the server does while changes go through it. */
export const stages: Benchmark = { name: "stages", title: "Where the time goes", run };

async function run({ short, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const folder = await mkdtemp(join(tmpdir(), "paperdb-bench-profile-"));
  try {
    const measured = await measure(folder, short ? SHORT_SECONDS : SECONDS, progress);
    const times = stageTimes(await readProfile(folder), STAGES, measured.window);
    return {
      table: { head: HEAD, rows: rowsOf(times, measured.result.cpuUs) },
      notes: notesOf(measured.result),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const HEAD = ["stage", "of the server's time", "per change"];

function notesOf({ written, cpuUs }: StepResult): string[] {
  return [
    `Mode \`wal\`, SSE, ${figure(written)} changes a second of 100 tenants with a client each, transactions of 50 rows, as under "Database to browser". Of V8's profile of the main thread while they went through, idle time left out; what a native function does counts as its caller's. ` +
      `*Per change*: its share of the ${figure(cpuUs)} µs of CPU that a change took, all threads and profiling included.`,
  ];
}

async function measure(
  folder: string,
  seconds: number,
  progress: (message: string) => void,
): Promise<{ readonly result: StepResult; readonly window: ProfileWindow }> {
  const closing: (() => Promise<void>)[] = [];
  const load = new ChangeLoad();
  try {
    const way = await openOursOverSse(folder, (close) => closing.unshift(close));
    await load.open(way);
    const { rowsPerTransaction } = way;
    await load.step(way, { ...WARM_UP, rowsPerTransaction });
    progress(`${figure(PER_SECOND)} changes a second`);
    const fromMs = monotonicMs();
    const result = await load.step(way, { perSecond: PER_SECOND, seconds, rowsPerTransaction });
    return { result, window: { fromMs, toMs: monotonicMs() } };
  } finally {
    await load.close();
    for (const close of closing) await close();
  }
}

function rowsOf(times: ReadonlyMap<string, number>, cpuUs: number): string[][] {
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times]
    .toSorted(([, one], [, other]) => other - one)
    .map(([title, time]) => {
      const share = time / total;
      return [title, `${figure(share * 100)} %`, `${figure(share * cpuUs)} µs`];
    });
}
