import { setTimeout as delay } from "node:timers/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { CORES, bindToCore } from "./support/cpu-core.ts";
import { asFanOutServer } from "./support/fan-out-ours.ts";
import type { HeldMemory } from "./support/heap-inspector.ts";
import { InspectedServer } from "./support/inspected-server.ts";
import { figure } from "./support/markdown-table.ts";
import { fetchServerUsage, type ServerUsage } from "./support/server-usage.ts";
import type { SoakCounts } from "./support/soak-crowd.ts";
import type { SoakCalls } from "./support/soak-worker.ts";
import { createTenant } from "./support/tenant.ts";
import { WorkerProcess } from "./support/worker-process.ts";

const DELIVERIES = 10_000_000;
const SHORT_DELIVERIES = 200_000;
const CLIENTS = 400;
const MARKS = 10;
/** Between the second mark, when all caches and histories are full, and the last one. */
const MAX_HEAP_GROWTH = 0.1;
/** What clients left behind is cleared away until then. */
const SETTLE_MS = 1000;
const MEBIBYTE = 1024 ** 2;
/** So that what is bounded is soon full, and what does not read is soon closed. */
const CONFIG = {
  history: { maxEventsPerChannel: 1000 },
  connections: { heartbeatIntervalMs: 2000, writeTimeoutMs: 10_000 },
  websocket: { peerTimeoutMs: 10_000 },
};

/** Whether anything is left behind by what has gone. */
export const soak: Benchmark = { name: "soak", title: "Connections that come and go", run };

/** How the server stood after a tenth. */
interface Mark {
  readonly counts: SoakCounts;
  readonly held: HeldMemory;
  readonly usage: ServerUsage;
}

async function run({ short, profileDir, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const deliveries = short ? SHORT_DELIVERIES : DELIVERIES;
  const server = await InspectedServer.start({ core: CORES.server, profileDir, config: CONFIG });
  const worker = new WorkerProcess<SoakCalls>(new URL("support/soak-worker.ts", import.meta.url));
  try {
    await bindToCore(worker.pid, CORES.load);
    const tenant = await createTenant(server.process, "bench", "team");
    const webSocket = await asFanOutServer(server.process, tenant, "websocket");
    const sse = await asFanOutServer(server.process, tenant, "sse");
    const targets = [webSocket, sse].map(({ port, greeting, pong }) => ({
      port,
      greeting,
      ...(pong === undefined ? {} : { pong }),
    }));
    await worker.call("open", { targets, publish: sse.publish, clients: CLIENTS });
    const marks: Mark[] = [];
    while (marks.length < MARKS) {
      const counts = await worker.call("run", { deliveries: deliveries / MARKS });
      await delay(SETTLE_MS);
      const usage = await fetchServerUsage(server.process.url);
      marks.push({ counts, usage, held: await server.fetchHeld() });
      progress(`${counts.deliveries.toLocaleString("en-US")} deliveries, ${counts.opened} connections`);
    }
    requireFlat(marks);
    return { table: { head: HEAD, rows: marks.map(rowOf) }, notes: NOTES };
  } finally {
    await worker.close();
    await server.close();
  }
}

const HEAD = [
  "deliveries",
  "connections opened",
  "left",
  "closed by the server",
  "open",
  "subscriptions",
  "handles",
  "heap",
  "outside of it",
  "resident",
];

const NOTES = [
  `${CLIENTS} clients, half of them over WebSocket, half over SSE, events of 300 bytes as fast as all that read have them; after each 20 events three clients are replaced ` +
    "by new ones, half with a FIN, half cut without goodbye. One of 20 is slow and stops reading for 200 or 10,000 events: it must go on without a gap, or have been closed (*closed by the server*; *left* are those that were replaced); all others " +
    "must get every event of their time, in order, and keep their connection: the run fails otherwise. Memory after garbage collection, *outside of it* are Buffers, *handles* are what Node's event loop holds. " +
    `The run fails if the heap is more than ${MAX_HEAP_GROWTH * 100} % larger in the end than after the second tenth.`,
];

function requireFlat(marks: readonly Mark[]): void {
  const early = marks[1]?.held.heapUsedBytes ?? Number.NaN;
  const end = marks.at(-1)?.held.heapUsedBytes ?? Number.NaN;
  if (!(end <= early * (1 + MAX_HEAP_GROWTH))) {
    throw new Error(`The heap has grown from ${figure(early / MEBIBYTE)} to ${figure(end / MEBIBYTE)} MiB.`);
  }
}

function rowOf({ counts, held, usage }: Mark): string[] {
  // Its clients do not notice as long as they do not read.
  const closed = counts.opened - counts.left - usage.connections;
  return [
    ...[counts.deliveries, counts.opened, counts.left, closed].map((count) => count.toLocaleString("en-US")),
    ...[usage.connections, usage.subscriptions, held.handles].map(String),
    ...[held.heapUsedBytes, held.externalBytes, held.residentBytes].map(
      (bytes) => `${figure(bytes / MEBIBYTE)} MiB`,
    ),
  ];
}
