import { setTimeout as delay } from "node:timers/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { preparePeers } from "./peers/prepare.ts";
import { ConnectionStorm, type StormFigures } from "./support/connection-storm.ts";
import { CORES } from "./support/cpu-core.ts";
import type { FanOutPeer, FanOutTransport } from "./support/fan-out-server.ts";
import { figure, mediansOf } from "./support/markdown-table.ts";
import { StormedServer, type Admission } from "./support/stormed-server.ts";
import { median } from "./support/statistics.ts";

const CONNECTIONS = 10_000;
/** Of the load generator and of a server, besides connections. */
const FILES_BESIDE_CONNECTIONS = 500;
const ROUNDS = 3;
const GONE_MS = 1000;
const ADMISSIONS: readonly Admission[] = ["a key, SSE", "one token, WebSocket", "a token each, WebSocket"];

/** How fast clients are let in, and what those notice that are in already. */
export const connections: Benchmark = { name: "connections", title: "Connections per second", run };

async function run(context: BenchmarkContext): Promise<BenchmarkReport> {
  const { short, machine, progress } = context;
  const allowed = Math.floor((machine.maxOpenFiles - FILES_BESIDE_CONNECTIONS) / 100) * 100;
  const count = Math.min(short ? CONNECTIONS / 5 : CONNECTIONS, allowed);
  const rounds = short ? 1 : ROUNDS;
  const rows: string[][] = [];
  const { peers, absent } = await preparePeers(context);
  for (const admission of ADMISSIONS) {
    progress(`ours, ${admission}`);
    rows.push(rowOf(`PaperDB Realtime: ${admission}`, await runOurs(context, admission, count, rounds)));
  }
  for (const peer of peers) {
    for (const transport of peer.transports) {
      progress(`${peer.name}, ${transport}`);
      rows.push(await runPeer(peer, transport, count, rounds));
    }
  }
  const head = ["server", "connections/s", "server's CPU for each", "an event's way meanwhile, p50", "worst"];
  return { table: { head, rows }, notes: [noteOf(count, rounds), ...absent] };
}

function noteOf(count: number, rounds: number): string {
  return (
    `${count.toLocaleString("en-US")} clients of one process connect as fast as the server lets them, 256 at a time, until each is live: with ours, authenticated, ` +
    "subscribed and told `ready`, *a token each*: minted by another process, none of them seen before; the others ask for no authentication. The floor shows what the clients' side can do at most. " +
    "*Meanwhile*: from publishing until a subscriber of another tenant has it, who was there before, 20 events a second; that subscriber's process shares its core with the storm's. " +
    `Figures are ${mediansOf(rounds)}, with all connections cut between two; *worst* is that of all rounds.`
  );
}

async function runOurs(
  { profileDir }: BenchmarkContext,
  admission: Admission,
  count: number,
  rounds: number,
): Promise<readonly StormFigures[]> {
  const server = await StormedServer.start({ core: CORES.server, profileDir });
  try {
    const figures: StormFigures[] = [];
    while (figures.length < rounds) figures.push(await server.storm(admission, count));
    return figures;
  } finally {
    await server.close();
  }
}

async function runPeer(
  peer: FanOutPeer,
  transport: FanOutTransport,
  count: number,
  rounds: number,
): Promise<string[]> {
  const server = await peer.start(transport, { core: CORES.server });
  const storm = await ConnectionStorm.start();
  try {
    const figures: StormFigures[] = [];
    while (figures.length < rounds) {
      figures.push(await storm.run(server, { connections: count }));
      await delay(GONE_MS);
    }
    return rowOf(`${server.name}, ${transport === "sse" ? "SSE" : "WebSocket"}`, figures);
  } finally {
    await storm.close();
    await server.close();
  }
}

function rowOf(title: string, rounds: readonly StormFigures[]): string[] {
  const ways = rounds.flatMap(({ meanwhile }) => meanwhile);
  return [
    title,
    figure(median(rounds.map(({ perSecond }) => perSecond))),
    `${figure(median(rounds.map(({ cpuSecondsEach }) => cpuSecondsEach)) * 1e6)} µs`,
    ways.length === 0 ? "" : `${figure(median(ways.map(({ p50Ms }) => p50Ms)))} ms`,
    ways.length === 0 ? "" : `${figure(Math.max(...ways.map(({ p999Ms }) => p999Ms)))} ms`,
  ];
}
