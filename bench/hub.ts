import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import type { HubCalls } from "./support/hub-worker.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { Rounds } from "./support/statistics.ts";
import { WorkerProcess } from "./support/worker-process.ts";

/** Channels, subscriptions of each, and events of a round. */
const SHAPES = [
  { channels: 1, perChannel: 100, steady: 2000, burst: 2000, spread: 1000 },
  { channels: 1, perChannel: 1000, steady: 500, burst: 1000, spread: 1000 },
  { channels: 1, perChannel: 10_000, steady: 100, burst: 400, spread: 200 },
  { channels: 100, perChannel: 1, steady: 20_000, burst: 2000, spread: 20_000 },
  { channels: 10_000, perChannel: 1, steady: 20_000, burst: 2000, spread: 20_000 },
  { channels: 10_000, perChannel: 10, steady: 20_000, burst: 2000, spread: 20_000 },
] as const;
type Shape = (typeof SHAPES)[number];
const ROUNDS = 7;
const SHORT_ROUNDS = 1;

/** What the hub itself adds to what the sockets cost, and what a subscription weighs in it. */
export const hub: Benchmark = { name: "hub", title: "The hub alone", run };

async function run({ short, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const rounds = short ? SHORT_ROUNDS : ROUNDS;
  const url = new URL("support/hub-worker.ts", import.meta.url);
  const workers = new Map(SHAPES.map((shape) => [shape, new WorkerProcess<HubCalls>(url)]));
  try {
    const heapBytes = new Map<Shape, number>();
    for (const [shape, worker] of workers) {
      progress(nameOf(shape));
      heapBytes.set(shape, await worker.call("subscribe", { ...shape, transport: "sse" }));
    }
    const figures = await measure(workers, rounds);
    const one = nameOf(SHAPES[3]);
    const rows = SHAPES.map((shape) => {
      const name = nameOf(shape);
      return [
        name,
        `${figure(figures.median(`${name} steady`))} µs`,
        shape.perChannel === 1 ? ratioText(figures.ratio(`${name} steady`, `${one} steady`)) : "",
        shape.channels === 1 ? "" : `${figure(figures.median(`${name} spread`))} µs`,
        `${figure(figures.median(`${name} burst`))} µs`,
        figure(figures.median(`${name} writes`)),
        shape.channels * shape.perChannel < 1000 ? "" : `${Math.round(heapBytes.get(shape) ?? 0)} B`,
      ];
    });
    return { table: { head: HEAD, rows }, notes: notesOf(rounds) };
  } finally {
    await Promise.all(Array.from(workers.values(), (worker) => worker.close()));
  }
}

const HEAD = [
  "channels × subscriptions",
  "steady, CPU per delivery",
  "of that with 100 × 1",
  "spread, CPU per event",
  "burst, CPU per delivery",
  "events per write",
  "heap per subscription",
];

function notesOf(rounds: number): string[] {
  return [
    "The log and the hub alone, in a process of their own, with targets that take what they are given for nothing. Events of about 300 bytes, encoded for " +
      "SSE. Steady: each event once all subscriptions of its channel have the one before, the channels taking turns; appending and encoding the event is in the " +
      "figure, shared by the channel's subscriptions. Spread: a hundred events of as many channels in each turn of the event loop. Burst: four events of one channel in each turn of the event loop, as fast as it turns. CPU time of the " +
      `process, user and system, garbage collection included; shapes took turns; ${mediansOf(rounds, { ratios: true })}. Heap by what is in use ` +
      "after a garbage collection, the channels and their histories included, without the connections.",
  ];
}

type Workers = ReadonlyMap<Shape, WorkerProcess<HubCalls>>;

async function measure(workers: Workers, rounds: number): Promise<Rounds<string>> {
  const figures = new Rounds<string>();
  for (let round = 0; round <= rounds; round += 1) {
    for (const [shape, worker] of workers) {
      const name = nameOf(shape);
      const steady = await worker.call("steady", { events: shape.steady });
      const burst = await worker.call("burst", { events: shape.burst });
      const spread = await worker.call("spread", { events: shape.spread });
      // The first round warms up.
      if (round === 0) continue;
      figures.add(`${name} spread`, spread.perEvent);
      figures.add(`${name} steady`, steady.perDelivery);
      figures.add(`${name} burst`, burst.perDelivery);
      figures.add(`${name} writes`, burst.perWrite);
    }
  }
  return figures;
}

function nameOf({ channels, perChannel }: Shape): string {
  return `${channels.toLocaleString("en-US")} × ${perChannel.toLocaleString("en-US")}`;
}
