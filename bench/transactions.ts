import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { median, Rounds } from "./support/statistics.ts";
import {
  HISTORY_BYTES,
  TransactionPeers,
  type Reader,
  type TransactionCost,
} from "./support/transaction-peers.ts";

const READERS: readonly Reader[] = ["ours", "peer", "bare"];
const TITLES: Readonly<Record<Reader, string>> = {
  ours: "our server",
  peer: "`pg-logical-replication` → SSE",
  bare: "read and thrown away",
};
interface Size {
  readonly rows: number;
  readonly rounds: number;
}

const SIZES: readonly Size[] = [
  { rows: 100_000, rounds: 3 },
  { rows: 1_000_000, rounds: 1 },
];
const SHORT_SHARE = 5;
const MEBIBYTE = 1024 ** 2;

/** One large transaction, from its commit until the last of its rows is at a client. */
export const transactions: Benchmark = { name: "transactions", title: "Large transactions", run };

async function run({ short, progress, profileDir }: BenchmarkContext): Promise<BenchmarkReport> {
  const sizes: readonly Size[] = short
    ? SIZES.map(({ rows }) => ({ rows: rows / SHORT_SHARE, rounds: 1 }))
    : SIZES;
  const table: string[][] = [];
  const peers = await TransactionPeers.start(profileDir);
  try {
    const warmUp = Math.min(...sizes.map(({ rows }) => rows));
    for (const reader of READERS) await peers.run(reader, warmUp);
    for (const { rows, rounds } of sizes) {
      const costs = new Map<Reader, TransactionCost[]>(READERS.map((reader) => [reader, []]));
      for (let round = 1; round <= rounds; round += 1) {
        for (const reader of READERS) {
          progress(`${rows.toLocaleString("en-US")} rows, round ${round}, ${TITLES[reader]}`);
          costs.get(reader)?.push(await peers.run(reader, rows));
        }
      }
      table.push(...rowsOf(rows, costs));
    }
  } finally {
    await peers.close();
  }
  return { table: { head: HEAD, rows: table }, notes: notesOf(sizes) };
}

const HEAD = [
  "rows, by whom",
  "last event after",
  "rows/s",
  "of throwing away",
  "CPU per row",
  "ours / it",
  "resident before",
  "peak",
];

function notesOf(sizes: readonly Size[]): string[] {
  return [
    "One INSERT of rows of 8 columns, about 250 bytes as JSON, in mode `wal`, delivered to one SSE client: from the moment at which the writer has PostgreSQL's answer until the client has the last event. " +
      "*CPU per row* is that of the process that reads, user and system, from before the transaction; resident memory of the same, looked at every 20 ms. Our server " +
      `was set to keep ${HISTORY_BYTES / MEBIBYTE} MiB of history and as much for clients that come back after a restart (\`history.*\`), and had seen a transaction before. Beside it, on a database of its own: a plain ` +
      "server, `pg-logical-replication` 2.5.0 and `response.write()` of `JSON.stringify`, without history, filters, tenants or hub, and without a bound for what a slow client has not read; and a bare replication " +
      "connection that throws away what comes, which is what PostgreSQL takes to decode and send. " +
      `The readers took turns (${sizes.map(({ rows, rounds }) => `${rows.toLocaleString("en-US")} rows: ${mediansOf(rounds, { ratios: true })}`).join("; ")}). Every row came, once and in order.`,
  ];
}

function rowsOf(count: number, costs: ReadonlyMap<Reader, readonly TransactionCost[]>): string[][] {
  const rounds = new Rounds<`${Reader} ${"rate" | "cpu"}`>();
  for (const [reader, list] of costs) {
    for (const { seconds, cpuSeconds } of list) {
      rounds.add(`${reader} rate`, count / seconds);
      rounds.add(`${reader} cpu`, (cpuSeconds * 1e6) / count);
    }
  }
  return READERS.map((reader) => {
    const list = costs.get(reader) ?? [];
    const before = median(list.map(({ memory }) => memory.beforeBytes));
    const peak = Math.max(...list.map(({ memory }) => memory.peakBytes));
    return [
      `${count.toLocaleString("en-US")}, ${TITLES[reader]}`,
      `${figure(median(list.map(({ seconds }) => seconds)))} s`,
      `${figure(rounds.median(`${reader} rate`))}/s`,
      ratioText(rounds.ratio(`${reader} rate`, "bare rate")),
      `${figure(rounds.median(`${reader} cpu`))} µs`,
      ratioText(rounds.ratio("ours cpu", `${reader} cpu`)),
      `${figure(before / MEBIBYTE)} MiB`,
      `${figure(peak / MEBIBYTE)} MiB`,
    ];
  });
}
