import { setTimeout as delay } from "node:timers/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { SnapshotPeers, type SnapshotCost } from "./support/snapshot-peers.ts";
import { median, percentile, Rounds } from "./support/statistics.ts";

/** A table, and how many clients ask for it at once. */
interface Case {
  readonly table: string;
  readonly rows: number;
  readonly clients: number;
  readonly rounds: number;
  readonly warmUps: number;
}

const CASES: readonly Case[] = [
  { table: "one", rows: 10_000, clients: 1, rounds: 3, warmUps: 1 },
  { table: "many", rows: 10_000, clients: 500, rounds: 2, warmUps: 1 },
  { table: "large", rows: 1_000_000, clients: 1, rounds: 2, warmUps: 0 },
];
const SHORT_SHARE = 5;
const MEBIBYTE = 1024 ** 2;
const NOT_SHARED_AFTER_MS = 1500;

/** From the request until `ready`, with all documents before it. */
export const snapshots: Benchmark = { name: "snapshots", title: "Snapshots", run };

async function run({ short, progress, profileDir }: BenchmarkContext): Promise<BenchmarkReport> {
  const cases = short ? CASES.map((each) => ({ ...each, rows: each.rows / SHORT_SHARE, rounds: 1 })) : CASES;
  const peers = await SnapshotPeers.start(profileDir);
  try {
    const measured = new Map<Case, Measured>();
    for (const each of cases) {
      progress(`${each.rows.toLocaleString("en-US")} documents, ${each.clients} clients`);
      await peers.createTable(each.table, each.rows);
      measured.set(each, await measure(peers, each));
    }
    const reads = await peers.fetchTableReads();
    const rows = Array.from(measured, ([each, figures]) => rowOf(each, figures, readsOf(each, reads)));
    return { table: { head: HEAD, rows }, notes: notesOf(cases) };
  } finally {
    await peers.close();
  }
}

const HEAD = [
  "documents, to clients",
  "all ready after",
  "half of them",
  "COPY alone",
  "sending alone",
  "ours / both",
  "server's CPU per document sent",
  "ours / both",
  "resident before",
  "peak",
  "reads of the table",
  "begun again",
];

function notesOf(cases: readonly Case[]): string[] {
  return [
    "SSE, `snapshot=true`, all clients at once, of a collection of rows of 8 columns, about 250 bytes as JSON. Beside it, what Node cannot do without: *COPY alone* is `COPY (SELECT row_to_json …) TO STDOUT`, once, by a client that throws the " +
      "rows away; *sending alone* is a bare `node:net` server that writes as many bytes, made before, to as many clients. *Ours / both* compares with their sum: time, and CPU (user and system) of the process. *Resident* is the server's memory before, and the most " +
      "that was seen every 20 ms, of all rounds. *Reads of the table* are scans for each round, counted by PostgreSQL (`pg_stat_user_tables`): clients that ask together share them. *Begun again*: clients that were too slow for " +
      "the others, and were reset. Ours and the peers took turns; " +
      `${cases.map((each) => `${titleOf(each)}: ${roundsOf(each)}`).join("; ")}. Every client got every document once; clients are one process on the same machine.`,
  ];
}

function titleOf({ rows, clients }: Case): string {
  return `${rows.toLocaleString("en-US")} to ${clients.toLocaleString("en-US")}`;
}

function roundsOf({ rounds, warmUps }: Case): string {
  return `${mediansOf(rounds, { ratios: true })}${warmUps > 0 ? ", after one to warm up" : ""}`;
}

interface Measured {
  readonly costs: readonly SnapshotCost[];
  readonly rounds: Rounds<"ours" | "copy" | "sending" | "both" | "cpu" | "least cpu">;
}

async function measure(
  peers: SnapshotPeers,
  { table, rows, clients, rounds, warmUps }: Case,
): Promise<Measured> {
  const costs: SnapshotCost[] = [];
  const figures: Measured["rounds"] = new Rounds();
  for (let round = 1 - warmUps; round <= rounds; round += 1) {
    // Those who ask within a second share a read, also with a round before.
    await delay(NOT_SHARED_AFTER_MS);
    const cost = await peers.read(table, rows, clients);
    const copy = await peers.copy(table);
    if (copy.rows !== rows) throw new Error(`COPY gave ${copy.rows} rows, not ${rows}.`);
    const sending = await peers.send(cost.bytes / clients, clients);
    if (round < 1) continue;
    costs.push(cost);
    figures.add("ours", percentile(cost.readyAfterMs, 1) / 1000);
    figures.add("copy", copy.seconds);
    figures.add("sending", sending.seconds);
    figures.add("both", copy.seconds + sending.seconds);
    figures.add("cpu", cost.cpuSeconds);
    figures.add("least cpu", copy.cpuSeconds + sending.cpuSeconds);
  }
  return { costs, rounds: figures };
}

/** Each round had one COPY of the peer as well. */
function readsOf({ table, rounds, warmUps }: Case, reads: ReadonlyMap<string, number>): number {
  return (reads.get(table) ?? Number.NaN) / (rounds + warmUps) - 1;
}

function rowOf(each: Case, { costs, rounds }: Measured, reads: number): string[] {
  const sent = each.rows * each.clients;
  return [
    titleOf(each),
    `${figure(rounds.median("ours"))} s`,
    `${figure(median(costs.map(({ readyAfterMs }) => percentile(readyAfterMs, 0.5))) / 1000)} s`,
    `${figure(rounds.median("copy"))} s`,
    `${figure(rounds.median("sending"))} s`,
    ratioText(rounds.ratio("ours", "both")),
    `${figure((rounds.median("cpu") * 1e6) / sent)} µs`,
    ratioText(rounds.ratio("cpu", "least cpu")),
    mebibytes(median(costs.map(({ memory }) => memory.beforeBytes))),
    mebibytes(Math.max(...costs.map(({ memory }) => memory.peakBytes))),
    figure(reads),
    String(Math.max(...costs.map(({ resets }) => resets))),
  ];
}

function mebibytes(bytes: number): string {
  return `${figure(bytes / MEBIBYTE)} MiB`;
}
