import { setTimeout as delay } from "node:timers/promises";
import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { CORES } from "./support/cpu-core.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { Rounds } from "./support/statistics.ts";
import { SubscribedServer } from "./support/subscribed-server.ts";

const FILES_BESIDE_CONNECTIONS = 500;
const FEW = { tenants: 1, connectionsPerTenant: 5 };
const MANY = { tenants: 500, connectionsPerTenant: 10 };
const ROUNDS = 5;
const EVENTS = 1000;
const SHORT_EVENTS = 250;
const PER_SECOND = 500;
const REST_MS = 2000;
const KIBIBYTE = 1024;

type Figure = "event" | "row" | "rest";

/** What one event to one subscriber costs, among few others and among very many. */
export const channels: Benchmark = { name: "channels", title: "One subscriber among many", run };

async function run({ short, machine, profileDir, progress }: BenchmarkContext): Promise<BenchmarkReport> {
  const rounds = short ? 1 : ROUNDS;
  const tenants = short ? MANY.tenants / 5 : MANY.tenants;
  const connections = 2 * tenants * MANY.connectionsPerTenant;
  if (machine.maxOpenFiles < connections + FILES_BESIDE_CONNECTIONS) {
    throw new Error(`Many channels need more open files: run "ulimit -n ${connections * 2}" first.`);
  }
  const few = await SubscribedServer.start({ core: CORES.server, profileDir });
  const many = await SubscribedServer.start({ core: CORES.server, profileDir });
  try {
    progress("opening 100 subscriptions");
    await few.open(FEW);
    progress(`opening ${connections} connections`);
    const memory = await many.open({ ...MANY, tenants });
    const events = short ? SHORT_EVENTS : EVENTS;
    const fewFigures = new Rounds<Figure>();
    const manyFigures = new Rounds<Figure>();
    for (let round = 0; round <= rounds; round += 1) {
      progress(round === 0 ? "warming up" : `round ${round}`);
      const figures = { few: await measure(few, events), many: await measure(many, events) };
      if (round === 0) continue;
      for (const name of ["event", "row", "rest"] as const) {
        fewFigures.add(name, figures.few[name]);
        manyFigures.add(name, figures.many[name]);
      }
    }
    return {
      table: {
        head: ["server's CPU", among(few), among(many), "ratio"],
        rows: [
          rowOf("an event of the event bus", "event", fewFigures, manyFigures),
          rowOf("a row of PostgreSQL", "row", fewFigures, manyFigures),
          [
            "at rest, of one core",
            ...[fewFigures, manyFigures].map((each) => `${figure(each.median("rest") * 100)} %`),
            "",
          ],
        ],
      },
      notes: [notesOf(many, rounds, events), memoryNote(memory)],
    };
  } finally {
    await few.close();
    await many.close();
  }
}

/** CPU, in µs per event; at rest as a share of a core. */
async function measure(server: SubscribedServer, events: number): Promise<Readonly<Record<Figure, number>>> {
  const before = await server.fetchCpuSeconds();
  await delay(REST_MS);
  const rest = ((await server.fetchCpuSeconds()) - before) / (REST_MS / 1000);
  const costOf = async (work: () => Promise<number>): Promise<number> => {
    const from = await server.fetchCpuSeconds();
    const seconds = await work();
    const cpuSeconds = (await server.fetchCpuSeconds()) - from - rest * seconds;
    return (cpuSeconds * 1e6) / events;
  };
  return {
    rest,
    event: await costOf(() => server.publish(events, PER_SECOND)),
    row: await costOf(() => server.writeRows(events, PER_SECOND)),
  };
}

function among({ subscriptions }: SubscribedServer): string {
  return `among ${subscriptions.toLocaleString("en-US")}`;
}

function rowOf(title: string, name: Figure, few: Rounds<Figure>, many: Rounds<Figure>): string[] {
  return [
    title,
    `${figure(few.median(name))} µs`,
    `${figure(many.median(name))} µs`,
    ratioText(many.median(name) / few.median(name)),
  ];
}

function notesOf(
  { subscriptions, channels: count, connections }: SubscribedServer,
  rounds: number,
  events: number,
): string {
  return (
    `Each event or row is for the only subscriber of its channel (SSE), one after the other, ${PER_SECOND} a second; all else on the server is silent: ` +
    `${connections.toLocaleString("en-US")} WebSockets of \`paperdb.v1\` with ${subscriptions.toLocaleString("en-US")} subscriptions to ${count.toLocaleString("en-US")} channels ` +
    `(tenant × table, mode \`wal\`), half of the connections with one, half with nineteen. CPU of the server's process, all threads, the request to publish included, ` +
    `what it takes at rest subtracted; heartbeats are every ten minutes here. Two servers in turns, ${events.toLocaleString("en-US")} of each at a time; ${mediansOf(rounds)}.`
  );
}

function memoryNote({ heapPerSubscription, residentPerSubscription }: SubscriptionMemory): string {
  return (
    `A further subscription on an open connection, with its share of its channel (ten subscriptions each), takes ${figure(heapPerSubscription / KIBIBYTE)} KiB of heap, ` +
    `${figure(residentPerSubscription / KIBIBYTE)} KiB of resident memory, both after garbage collection.`
  );
}

type SubscriptionMemory = Awaited<ReturnType<SubscribedServer["open"]>>;
