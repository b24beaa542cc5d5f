import { setTimeout as delay } from "node:timers/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { preparePeers } from "./peers/prepare.ts";
import { CORES } from "./support/cpu-core.ts";
import type { FanOutPeer, FanOutServer, FanOutTransport } from "./support/fan-out-server.ts";
import { InspectedPeer } from "./support/inspected-peer.ts";
import { LoadGenerator } from "./support/load-generator.ts";
import { figure } from "./support/markdown-table.ts";
import { cpuSecondsOf, residentBytesOf } from "./support/process-usage.ts";
import { median } from "./support/statistics.ts";

const CONNECTIONS = 10_000;
/** Of the load generator and of a server, besides connections. */
const FILES_BESIDE_CONNECTIONS = 500;
const WARM_UP_CONNECTIONS = 200;
/** As fast as no server has to hurry: a storm leaves garbage behind, and has a benchmark of its own. */
const OPENED_PER_SECOND = 2500;
/** Longer than the interval of our heartbeats, so that each connection had one. */
const IDLE_MS = 16_000;
const SETTLE_MS = 1000;
const SAMPLES = 5;
const SAMPLE_INTERVAL_MS = 200;
const KIBIBYTE = 1024;

/** What a connection costs that has nothing to do. */
export const idleMemory: Benchmark = { name: "memory", title: "Idle connections", run };

async function run(context: BenchmarkContext): Promise<BenchmarkReport> {
  const { short, machine, profileDir, progress } = context;
  const wanted = short ? CONNECTIONS / 5 : CONNECTIONS;
  const allowed = Math.floor((machine.maxOpenFiles - FILES_BESIDE_CONNECTIONS) / 100) * 100;
  const connections = Math.min(wanted, allowed);
  const { peers, absent } = await preparePeers(context);
  const crowds: Crowd[] = [];
  try {
    for (const peer of [new InspectedPeer(profileDir), ...peers]) {
      for (const transport of peer.transports) {
        progress(`${peer.name}, ${transport}: ${connections} connections`);
        crowds.push(await Crowd.open(peer, transport, connections));
      }
    }
    progress(`all idle for ${IDLE_MS / 1000} s`);
    const rows = await measureIdle(crowds);
    return { table: { head: headOf(connections), rows }, notes: [...NOTES, ...absent] };
  } finally {
    for (const crowd of crowds) await crowd.close();
  }
}

/** All at the same time: none of them has anything to do. */
async function measureIdle(crowds: readonly Crowd[]): Promise<readonly string[][]> {
  const cpuBefore = await Promise.all(crowds.map(({ server }) => cpuSecondsOf(server.pids)));
  await delay(IDLE_MS);
  const cpuAfter = await Promise.all(crowds.map(({ server }) => cpuSecondsOf(server.pids)));
  const rows: string[][] = [];
  for (const [index, crowd] of crowds.entries()) {
    // A thread that ended in between takes its account with it.
    const seconds = Math.max(0, (cpuAfter[index] ?? 0) - (cpuBefore[index] ?? 0));
    rows.push(await crowd.rowOf(seconds / (IDLE_MS / 1000)));
  }
  return rows;
}

function headOf(connections: number): readonly string[] {
  const idle = `${connections.toLocaleString("en-US")} idle`;
  return ["server", "transport", "at start", idle, "each", "each, garbage collected", "CPU"];
}

const NOTES = [
  "Resident memory of the server's process, all that it has, medians of 5 samples: after 200 connections were opened and closed and the garbage was collected, and " +
    `${IDLE_MS / 1000} s after the last connection of all was opened, ${OPENED_PER_SECOND.toLocaleString("en-US")} a second, without and with a collection (Go cannot be asked for one from outside). ` +
    "The kernel's socket buffers are not in it. Ours are authenticated and have one subscription each; the others know neither. *CPU*: share of one core while idle, " +
    "heartbeats included, where there are any (ours: each 15 s). Each connection then got an event; the run fails otherwise.",
];

/** A server with many clients that it has nothing to say to. */
class Crowd {
  readonly server: FanOutServer;
  readonly #load: LoadGenerator;
  readonly #connections: number;
  #residentAtStart = Number.NaN;

  private constructor(server: FanOutServer, load: LoadGenerator, connections: number) {
    this.server = server;
    this.#load = load;
    this.#connections = connections;
  }

  static async open(peer: FanOutPeer, transport: FanOutTransport, connections: number): Promise<Crowd> {
    const server = await peer.start(transport, { core: CORES.server });
    const load = await LoadGenerator.start({ core: CORES.load });
    const crowd = new Crowd(server, load, connections);
    try {
      await load.open("warm-up", server, { connections: WARM_UP_CONNECTIONS });
      await load.closeGroup("warm-up");
      await delay(SETTLE_MS);
      await server.collectGarbage?.();
      crowd.#residentAtStart = await sampleResident(server);
      await load.open("idle", server, { connections, perSecond: OPENED_PER_SECOND });
      return crowd;
    } catch (error) {
      await crowd.close();
      throw error;
    }
  }

  /** @throws when a connection was lost. */
  async rowOf(cpuShare: number): Promise<string[]> {
    const { server } = this;
    const resident = await sampleResident(server);
    await server.collectGarbage?.();
    const held = server.collectGarbage === undefined ? undefined : await sampleResident(server);
    const { delivered } = await this.#load.run("idle", { events: 1 });
    const lost = this.#connections - delivered;
    if (lost > 0) throw new Error(`${server.name} lost ${lost} idle connections.`);
    return [
      server.name,
      server.transport === "sse" ? "SSE" : "WebSocket",
      `${figure(this.#residentAtStart / KIBIBYTE ** 2)} MiB`,
      `${figure(resident / KIBIBYTE ** 2)} MiB`,
      this.#each(resident),
      held === undefined ? "" : this.#each(held),
      `${figure(cpuShare * 100)} %`,
    ];
  }

  #each(resident: number): string {
    return `${figure((resident - this.#residentAtStart) / this.#connections / KIBIBYTE)} KiB`;
  }

  async close(): Promise<void> {
    await this.#load.close();
    await this.server.close();
  }
}

async function sampleResident({ pids }: FanOutServer): Promise<number> {
  const samples: number[] = [];
  while (samples.length < SAMPLES) {
    samples.push(await residentBytesOf(pids));
    await delay(SAMPLE_INTERVAL_MS);
  }
  return median(samples);
}
