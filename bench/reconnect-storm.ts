import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { monotonicMs } from "./support/clock.ts";
import { figure, mediansOf } from "./support/markdown-table.ts";
import { cpuSecondsOf } from "./support/process-usage.ts";
import { fetchToken } from "./support/realtime-token.ts";
import { ServerProcess } from "./support/server-process.ts";
import { untilConnections } from "./support/server-usage.ts";
import { median, percentile } from "./support/statistics.ts";
import type { StormTransport } from "./support/storm-client.ts";
import type { StormCalls } from "./support/storm-worker.ts";
import { createTenant, type BenchTenant } from "./support/tenant.ts";
import { WorkerProcess } from "./support/worker-process.ts";

const CLIENTS = 10_000;
const MISSED = 10;
const ROUNDS = 3;
const FILES_BESIDE_CONNECTIONS = 200;
/** Sessions of PostgreSQL tell their statistics about once a second. */
const STATISTICS_DELAY_MS = 1500;

/** All clients lose their connections at once, and come back at once. */
export const reconnectStorm: Benchmark = { name: "storm", title: "Reconnect storm", run };

interface Storm {
  readonly allLiveMs: number;
  readonly p50Ms: number;
  readonly cpuSeconds: number;
  /** Of the database, from the start of the storm until its statistics are complete. */
  readonly transactionsPerSecond: number;
}

async function run({ short, machine, profileDir, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const rounds = short ? 1 : ROUNDS;
  const clients = short ? CLIENTS / 5 : CLIENTS;
  if (machine.maxOpenFiles < clients + FILES_BESIDE_CONNECTIONS) {
    throw new Error(`The storm needs more open files: run "ulimit -n ${CLIENTS * 2}" first.`);
  }
  const server = await ServerProcess.start({ profileDir });
  const database = new Client({ connectionString: server.databaseUrl });
  try {
    await database.connect();
    await database.query("create table storm (id bigint primary key, tenant_id text not null, title text)");
    const tenant = await createTenant(server, "bench", "team");
    const rows: string[][] = [];
    let next = 1;
    for (const transport of ["WebSocket", "SSE"] as const) {
      const storms: Storm[] = [];
      const restPerSecond = await measureRest(database);
      for (let round = 1; round <= rounds; round += 1) {
        progress(`${clients} clients over ${transport}, round ${round}`);
        storms.push(await runStorm({ server, database, tenant, transport, clients, first: next }));
        next += MISSED;
      }
      rows.push(rowOf(transport, clients, storms, restPerSecond));
    }
    return { table: { head: HEAD, rows }, notes: notesOf(rounds) };
  } finally {
    await database.end();
    await server.stop();
  }
}

const HEAD = [
  "transport",
  "clients",
  "half of them live after",
  "all live after",
  "server's CPU",
  "per client",
  "database transactions/s",
  "at rest",
];

function notesOf(rounds: number): string[] {
  return [
    `One tenant and collection. All connections are dropped at once by the clients' side, ${MISSED} rows are written, and all clients connect again, 1,000 at a time, ` +
      "without the jitter that the SDK adds, each with its cursor. *Live*: authenticated, `ready` with `resumed: true`, and each missed row " +
      `received, once; the run fails otherwise. Figures are ${mediansOf(rounds)}; the clients are one process on the same machine. *Database transactions* are ` +
      "counted by `pg_stat_database`, all of the server's and this benchmark's own looks at it.",
  ];
}

interface StormSetUp {
  readonly server: ServerProcess;
  readonly database: Client;
  readonly tenant: BenchTenant;
  readonly transport: StormTransport;
  readonly clients: number;
  /** The id of the first row to write. */
  readonly first: number;
}

async function runStorm({ server, database, tenant, transport, clients, first }: StormSetUp): Promise<Storm> {
  const worker = new WorkerProcess<StormCalls>(new URL("support/storm-worker.ts", import.meta.url));
  try {
    const { hostname: host, port } = new URL(server.url);
    const credential =
      transport === "SSE" ? tenant.anonKey : await fetchToken(server, tenant, { collections: ["storm"] });
    const target = { transport, host, port: Number(port), credential, collection: "storm" };
    await worker.call("open", { target, clients });
    await worker.call("drop", undefined);
    await untilConnections(server.url, 0);
    const sql = "insert into storm select id, 'bench', 'missed' from generate_series($1::int, $2::int) id";
    await database.query(sql, [first, first + MISSED - 1]);
    const cpuBefore = await cpuSecondsOf([server.pid]);
    const transactionsBefore = await fetchTransactions(database);
    const startedAtMs = monotonicMs();
    const { liveAfterMs, resumed } = await worker.call("comeBack", { missed: MISSED });
    const cpuSeconds = (await cpuSecondsOf([server.pid])) - cpuBefore;
    await delay(STATISTICS_DELAY_MS);
    const transactions = (await fetchTransactions(database)) - transactionsBefore;
    const seconds = (monotonicMs() - startedAtMs) / 1000;
    if (resumed !== clients) throw new Error(`${clients - resumed} clients were reset instead of resumed.`);
    return {
      allLiveMs: percentile(liveAfterMs, 1),
      p50Ms: percentile(liveAfterMs, 0.5),
      cpuSeconds,
      transactionsPerSecond: transactions / seconds,
    };
  } finally {
    await worker.close();
    await untilConnections(server.url, 0);
  }
}

const REST_MS = 3000;

/** Transactions per second while nobody does anything. */
async function measureRest(database: Client): Promise<number> {
  const before = await fetchTransactions(database);
  await delay(REST_MS);
  return ((await fetchTransactions(database)) - before) / (REST_MS / 1000);
}

async function fetchTransactions(database: Client): Promise<number> {
  const sql =
    "select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()";
  const { rows } = await database.query<{ count: string }>(sql);
  return Number(rows[0]?.count);
}

function rowOf(
  transport: string,
  clients: number,
  storms: readonly Storm[],
  restPerSecond: number,
): string[] {
  const cpuSeconds = median(storms.map((storm) => storm.cpuSeconds));
  return [
    transport,
    clients.toLocaleString("en-US"),
    `${figure(median(storms.map(({ p50Ms }) => p50Ms)))} ms`,
    `${figure(median(storms.map(({ allLiveMs }) => allLiveMs)))} ms`,
    `${figure(cpuSeconds)} s`,
    `${figure((cpuSeconds * 1e6) / clients)} µs`,
    figure(median(storms.map(({ transactionsPerSecond }) => transactionsPerSecond))),
    figure(restPerSecond),
  ];
}
