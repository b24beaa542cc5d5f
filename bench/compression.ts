import { setTimeout as delay } from "node:timers/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { chatMessage } from "./support/compression-events.ts";
import {
  startOurs,
  startPerClient,
  type CompressionServer,
  type Transport,
  type Way,
} from "./support/compression-ways.ts";
import { bindToCore, CORES } from "./support/cpu-core.ts";
import type { DecodingCalls } from "./support/decoding-clients-worker.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { cpuSecondsOf } from "./support/process-usage.ts";
import { RequestPipeline } from "./support/request-pipeline.ts";
import { Rounds } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker-process.ts";

interface Case {
  readonly transport: Transport;
  readonly connections: number;
  readonly dataBytes: number;
  readonly events: number;
  /** Undefined: all at once. */
  readonly perSecond: number | undefined;
}

const WAYS: readonly Way[] = ["off", "shared", "per client"];
const ROUNDS = 3;
const STEADY_EVENTS = 40;
const SHORT_STEADY_EVENTS = 15;
const STEADY_PER_SECOND = 20;
const BURST_EVENTS = 200;
/** So dear that fewer events are enough. */
const PER_CLIENT_SHARE = 1 / 5;

/** When it pays to compress. */
export const compression: Benchmark = { name: "compression", title: "Compression", run };

async function run({ short, profileDir, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const servers: CompressionServer[] = [];
  const clients = new WorkerProcess<DecodingCalls>(
    new URL("support/decoding-clients-worker.ts", import.meta.url),
  );
  const rounds = short ? 1 : ROUNDS;
  await bindToCore(clients.pid, CORES.load);
  try {
    servers.push(await startOurs(profileDir), await startPerClient());
    const bench = new CompressionRun(servers, clients);
    const rows: string[][] = [];
    for (const each of casesOf(short)) {
      progress(titleOf(each).join(", "));
      rows.push(await bench.rowOf(each, rounds));
    }
    return { table: { head: HEAD, rows }, notes: notesOf(rounds) };
  } finally {
    await clients.close();
    for (const server of servers) await server.close();
  }
}

const HEAD = [
  "transport",
  "data",
  "load",
  "connections",
  "off",
  "shared",
  "shared / off",
  "per client",
  "bytes off",
  "shared",
  "per client",
];

function notesOf(rounds: number): readonly string[] {
  return [
    "CPU time of the server's process, user and system, all threads, in µs per delivered event, publishing over HTTP included, and bytes on the wire per delivered event. " +
      "Events are chat messages in English words, no two alike. _Off_ and _shared_ are our server with `compression.enabled` and `minBytes` of 200, to clients that read no " +
      "compression and to those that do; _per client_ is plain Node with a compressor for each connection: `ws` with `perMessageDeflate` for all messages, `createGzip` with a flush " +
      `after each event. The ways took turns, after a round to warm up; ${mediansOf(rounds, { ratios: true })}. Every client decoded everything, and got every event, in order.`,
  ];
}

function casesOf(short: boolean): readonly Case[] {
  const transports = ["websocket", "sse"] as const;
  const loads = [
    { events: short ? SHORT_STEADY_EVENTS : STEADY_EVENTS, perSecond: STEADY_PER_SECOND },
    { events: BURST_EVENTS, perSecond: undefined },
  ];
  return transports.flatMap((transport) =>
    (short ? [100] : [10, 100, 1000]).flatMap((connections) =>
      [300, 2000].flatMap((dataBytes) =>
        loads.map((load) => ({ transport, connections, dataBytes, ...load })),
      ),
    ),
  );
}

function titleOf({ transport, dataBytes, perSecond, connections, events }: Case): string[] {
  return [
    transport === "sse" ? "SSE" : "WebSocket",
    `${dataBytes.toLocaleString("en-US")} B`,
    perSecond === undefined ? `burst of ${events}` : `${perSecond} events/s`,
    connections.toLocaleString("en-US"),
  ];
}

type Figure = `${"cpu" | "bytes"} ${Way}`;

class CompressionRun {
  readonly #servers: readonly CompressionServer[];
  readonly #clients: WorkerProcess<DecodingCalls>;
  #nextSequence = 1;

  constructor(servers: readonly CompressionServer[], clients: WorkerProcess<DecodingCalls>) {
    this.#servers = servers;
    this.#clients = clients;
  }

  async rowOf(each: Case, rounds: number): Promise<string[]> {
    const figures = new Rounds<Figure>();
    for (let round = 0; round <= rounds; round += 1) {
      for (const way of WAYS) await this.#measure(each, way, round === 0 ? undefined : figures);
    }
    const cpu = (way: Way): string => `${figure(figures.median(`cpu ${way}`))} µs`;
    const bytes = (way: Way): string => figure(figures.median(`bytes ${way}`));
    return [
      ...titleOf(each),
      cpu("off"),
      cpu("shared"),
      ratioText(figures.ratio("cpu shared", "cpu off")),
      cpu("per client"),
      bytes("off"),
      bytes("shared"),
      bytes("per client"),
    ];
  }

  /** @param figures - undefined in the round that warms up. */
  async #measure(each: Case, way: Way, figures: Rounds<Figure> | undefined): Promise<void> {
    const { transport, connections, dataBytes, perSecond } = each;
    const events = way === "per client" ? Math.ceil(each.events * PER_CLIENT_SHARE) : each.events;
    for (const server of this.#servers) {
      const target = server.target(transport, way);
      if (target === undefined) continue;
      await this.#clients.call("open", { target, connections });
      const first = this.#nextSequence;
      this.#nextSequence += events;
      await this.#clients.call("expect", { first, count: events });
      const requests = Array.from({ length: events }, (_, index) =>
        server.publish(chatMessage(dataBytes, first + index)),
      );
      const pipeline = await RequestPipeline.open(server.port);
      const before = await cpuSecondsOf([server.pid]);
      await publish(pipeline, requests, perSecond);
      const bytes = await this.#clients.call("received", undefined);
      const seconds = (await cpuSecondsOf([server.pid])) - before;
      pipeline.close();
      await this.#clients.call("close", undefined);
      const deliveries = events * connections;
      figures?.add(`cpu ${way}`, (seconds * 1e6) / deliveries);
      figures?.add(`bytes ${way}`, bytes / deliveries);
    }
  }
}

async function publish(
  pipeline: RequestPipeline,
  requests: readonly Buffer[],
  perSecond: number | undefined,
): Promise<void> {
  if (perSecond === undefined) pipeline.send(Buffer.concat(requests), requests.length);
  else {
    for (const request of requests) {
      pipeline.send(request, 1);
      await delay(1000 / perSecond);
    }
  }
  await pipeline.untilAnswered();
}
