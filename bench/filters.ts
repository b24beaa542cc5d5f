import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import type { FilterCalls } from "./support/filter-worker.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { Rounds } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker-process.ts";

const SUBSCRIPTIONS = [10, 100, 1000, 10_000, 100_000] as const;
const BASE = 100;
const CHANGES = 20_000;
const ROUNDS = 7;
const SHORT_ROUNDS = 1;

type Hubs = ReadonlyMap<number, WorkerProcess<FilterCalls>>;

/** What a change costs among many subscriptions that it is not for. */
export const filters: Benchmark = { name: "filters", title: "Filters", run };

async function run({ short, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const rounds = short ? SHORT_ROUNDS : ROUNDS;
  const hubs: Hubs = new Map(
    SUBSCRIPTIONS.map((subscriptions) => [
      subscriptions,
      new WorkerProcess<FilterCalls>(new URL("support/filter-worker.ts", import.meta.url)),
    ]),
  );
  try {
    const heapBytes = new Map<number, number>();
    for (const [subscriptions, hub] of hubs) {
      progress(`${subscriptions} subscriptions`);
      heapBytes.set(subscriptions, await hub.call("subscribe", { subscriptions }));
    }
    const cpu = await measure(hubs, rounds);
    return { table: { head: HEAD, rows: SUBSCRIPTIONS.map(rowOf) }, notes: notesOf(rounds) };

    function rowOf(subscriptions: number): string[] {
      return [
        subscriptions.toLocaleString("en-US"),
        `${figure(cpu.median(String(subscriptions)))} µs`,
        ratioText(cpu.ratio(String(subscriptions), String(BASE))),
        // Few subscriptions are lost in what the heap does otherwise.
        subscriptions < 1000 ? "" : `${figure((heapBytes.get(subscriptions) ?? 0) / 1024)} KiB`,
      ];
    }
  } finally {
    await Promise.all(Array.from(hubs.values(), (hub) => hub.close()));
  }
}

const HEAD = ["subscriptions", "CPU per change", `of that with ${BASE}`, "heap per subscription"];

function notesOf(rounds: number): string[] {
  return [
    "One collection, each subscription with another equality filter; every change is an update of a document that one of them sees, with its " +
      "prior document. The log and the hub alone, in a process of their own, with targets that take what they are given for nothing: parsing the " +
      "documents, finding who sees the change, encoding it for SSE, and one delivery. CPU time of the process, user and system, garbage " +
      `collection included; sizes took turns; ${CHANGES.toLocaleString("en-US")} changes each; ${mediansOf(rounds, { ratios: true })}. ` +
      "Heap by what is in use after a garbage collection, without the connection that a subscription belongs to.",
  ];
}

async function measure(hubs: Hubs, rounds: number): Promise<Rounds<string>> {
  const cpu = new Rounds<string>();
  for (let round = 0; round <= rounds; round += 1) {
    for (const [subscriptions, hub] of hubs) {
      // The first round warms up: every subscription has had an event.
      const changes = round === 0 ? Math.max(CHANGES, subscriptions) : CHANGES;
      const microseconds = await hub.call("change", { changes });
      if (round > 0) cpu.add(String(subscriptions), microseconds);
    }
  }
  return cpu;
}
