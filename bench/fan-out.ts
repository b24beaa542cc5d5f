import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { FanOutPeers, type Load, type RunCost } from "./support/fan-out-peers.ts";
import { figure, ratioText } from "./support/markdown-table.ts";
import { DATA_BYTES } from "./support/publisher.ts";
import { Rounds } from "./support/statistics.ts";

/** What is sent to how many; a burst has no rate. */
interface Case extends Load {
  readonly title: string;
  readonly connections: number;
}

const STEADY_SECONDS = 3;
const CASES: readonly Case[] = [
  { title: "steady, 200 events/s", connections: 100, events: 200 * STEADY_SECONDS, perSecond: 200 },
  { title: "burst, 2,000 events", connections: 100, events: 2000, perSecond: undefined },
  { title: "steady, 40 events/s", connections: 1000, events: 40 * STEADY_SECONDS, perSecond: 40 },
  { title: "burst, 1,000 events", connections: 1000, events: 1000, perSecond: undefined },
];

/** µs of CPU, but for the last one. */
type Figure = "total" | "fan-out" | "floor" | "events per write";

/** Bursts are short, and their figures a difference of two: they need more rounds. */
const STEADY_ROUNDS = 3;
const BURST_ROUNDS = 9;

/** What one delivered event costs the server. */
export const fanOut: Benchmark = { name: "fan-out", title: "Fan-out", run };

async function run({ short, progress, profileDir }: BenchmarkContext): Promise<BenchmarkReport> {
  const rows: string[][] = [];
  const peers = await FanOutPeers.start(profileDir);
  try {
    for (const each of CASES) {
      progress(`${each.connections} connections, ${each.title}`);
      await peers.connect(each.connections);
      rows.push(rowOf(each, await measure(peers, each, short ? 1 : roundsOf(each))));
    }
  } finally {
    await peers.close();
  }
  return { table: { head: HEAD, rows }, notes: NOTES };
}

const HEAD = [
  "load",
  "connections",
  "events per write",
  "server, all",
  "of it fan-out",
  "floor",
  "fan-out / floor",
  "all / floor",
];

const NOTES = [
  `CPU time of the process, user and system, in µs per delivered event: one tenant, events with ${DATA_BYTES} bytes of data, published ` +
    "over HTTP. *Fan-out* is all without what the same publishes cost with a single subscriber (requests, parsing, keys): a difference of two " +
    "measurements, so that within its noise a ratio can fall below 1. The *floor* is a bare `node:net` loop that writes the same bytes, encoded " +
    "before, to raw sockets, as many events in one write as the server had in one (counted by the kernel; on other systems than Linux by the " +
    "clients' reads, which flatters the floor); in a burst it has all events from the start, the server gets them one request at a time. Server " +
    `and floor took turns; medians of ${STEADY_ROUNDS} rounds (bursts: ${BURST_ROUNDS}) and of the rounds' ratios. Every connection got every ` +
    "event, all in the same order.",
];

async function measure(peers: FanOutPeers, load: Case, rounds: number): Promise<Rounds<Figure>> {
  const figures = new Rounds<Figure>();
  const deliveries = load.events * load.connections;
  for (let round = 0; round <= rounds; round += 1) {
    const server = await peers.runServer(load);
    const publishing = await peers.runPublishing(load);
    const floor = await peers.runFloor(load, {
      bytesPerEvent: Math.round(server.bytes / deliveries),
      eventsPerWrite: Math.max(1, Math.round(deliveries / writesOf(server, publishing))),
    });
    // The first round warms up.
    if (round === 0) continue;
    const microseconds = (seconds: number): number => (seconds * 1e6) / deliveries;
    figures.add("total", microseconds(server.cpuSeconds));
    figures.add("fan-out", microseconds(server.cpuSeconds - publishing.cpuSeconds));
    figures.add("floor", microseconds(floor.cpuSeconds));
    figures.add("events per write", deliveries / writesOf(server, publishing));
  }
  return figures;
}

/** Writes to the subscribers: all but those for the publishes, which in their run had one subscriber as well. */
function writesOf(server: RunCost, publishing: RunCost): number {
  if (server.writes === undefined || publishing.writes === undefined) return server.reads;
  return server.writes - (publishing.writes - publishing.reads);
}

function roundsOf({ perSecond }: Load): number {
  return perSecond === undefined ? BURST_ROUNDS : STEADY_ROUNDS;
}

function rowOf({ title, connections }: Case, figures: Rounds<Figure>): string[] {
  return [
    title,
    connections.toLocaleString("en-US"),
    figures.median("events per write").toFixed(1),
    `${figure(figures.median("total"))} µs`,
    `${figure(figures.median("fan-out"))} µs`,
    `${figure(figures.median("floor"))} µs`,
    ratioText(figures.ratio("fan-out", "floor")),
    ratioText(figures.ratio("total", "floor")),
  ];
}
