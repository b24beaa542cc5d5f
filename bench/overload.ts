import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { closeAll, FanOutEntries } from "./support/fan-out-entries.ts";
import { requireAll, type FanOutContestant, type FanOutSample } from "./support/fan-out-contestant.ts";
import { figure, mediansOf, ratioText } from "./support/markdown-table.ts";
import { Rounds } from "./support/statistics.ts";

const TRANSPORTS = ["websocket", "sse"] as const;
const CONNECTIONS = 10_000;
const SHORT_CONNECTIONS = 5000;
const EVENTS_PER_SECOND = 50;
const NOT_READING_SHARE = 0.1;
const WARM_UP_BURSTS = { events: 100, repeat: 3, stallMs: 60_000 };
/** Who cannot keep up needs no longer to show it. */
const LATE_MS = 5000;
/** Of ours and the floor everything has to come, however busy the machine is. */
const PATIENCE_MS = 60_000;
const FILES_BESIDE_CONNECTIONS = 100;

type Figure = "share" | "p50" | "p99" | "p99 with some not reading" | "cpu";

/** More than is delivered one by one: half a million deliveries per second. */
export const overload: Benchmark = { name: "overload", title: "Overload", run };

async function run(context: BenchmarkContext): Promise<BenchmarkReport> {
  const { short, machine, progress } = context;
  const connections = Math.min(
    short ? SHORT_CONNECTIONS : CONNECTIONS,
    machine.maxOpenFiles - FILES_BESIDE_CONNECTIONS,
  );
  const seconds = short ? 3 : 6;
  const rounds = short ? 1 : 3;
  const entries = await FanOutEntries.prepare({ ...context, names: context.peers });
  const rows: string[][] = [];
  const notes = [...entries.absent];
  for (const transport of TRANSPORTS) {
    progress(`${transport}: starting the servers`);
    const contestants = await entries.start(transport, { withOthers: !short || context.peers !== undefined });
    const figures = contestants.map(() => new Rounds<Figure>());
    try {
      for (let round = 1; round <= rounds; round += 1) {
        for (const [index, contestant] of contestants.entries()) {
          const isOther = index > 1;
          if (isOther && round > 1) continue;
          progress(`round ${round}: ${contestant.title}`);
          const into = figures[index] ?? new Rounds<Figure>();
          await measure(contestant, into, { connections, seconds, isOther }).catch((error: unknown) => {
            if (!isOther) throw error;
            const reason = error instanceof Error ? error.message : String(error);
            notes.push(`${contestant.title} is left out: ${reason}`);
          });
        }
      }
    } finally {
      await closeAll(contestants);
    }
    for (const [index, { title }] of contestants.entries()) {
      const measured = figures[index];
      if (measured?.has("share")) rows.push(rowOf(title, measured));
    }
  }
  return { table: { head: HEAD, rows }, notes: [...notesOf(connections, seconds, rounds), ...notes] };
}

const HEAD = ["", "delivered in time", "CPU per delivery", "p50", "p99", "p99, a tenth not reading", "ratio"];

function notesOf(connections: number, seconds: number, rounds: number): string[] {
  return [
    `${connections.toLocaleString("en-US")} connections and ${EVENTS_PER_SECOND} events per second for ${seconds} s, so ` +
      `${(connections * EVENTS_PER_SECOND).toLocaleString("en-US")} deliveries per second are offered, on one core. *Delivered in time*: the share of what was ` +
      `offered that was delivered, times those ${seconds} s over the time until the last one came. Who keeps up does so by sending several events in one write. Then the same again ` +
      "while a tenth of the connections does not read: the latency of the others, whose *ratio* is to the p99 before. Each reading connection of ours and of the floor got every event, once, " +
      `in order; the benchmark fails otherwise. Ours and the floor: ${mediansOf(rounds, { ratios: true })}; the others: one round, and only with all reading. ` +
      "Latency for 1,000 connections at the same rate is in the table of fan-out.",
  ];
}

async function measure(
  contestant: FanOutContestant,
  figures: Rounds<Figure>,
  { connections, seconds, isOther }: { connections: number; seconds: number; isOther: boolean },
): Promise<void> {
  const load = {
    events: EVENTS_PER_SECOND * seconds,
    perSecond: EVENTS_PER_SECOND,
    ...(isOther ? { withinMs: LATE_MS } : { stallMs: PATIENCE_MS }),
  };
  await contestant.connect(connections);
  if (!isOther) await contestant.run(WARM_UP_BURSTS);
  const all = await contestant.run(load);
  if (!isOther) requireAll(contestant, all);
  figures.add("share", shareOf(all, seconds));
  figures.add("cpu", (all.cpuSeconds * 1e6) / all.delivered);
  figures.add("p50", all.latency.p50Ms);
  figures.add("p99", all.latency.p99Ms);
  if (isOther) return;
  await contestant.pauseReading(Math.floor(connections * NOT_READING_SHARE));
  const rest = await contestant.run(load);
  requireAll(contestant, rest);
  figures.add("p99 with some not reading", rest.latency.p99Ms);
}

/** Of what was offered, what was delivered in the time that it should have taken. */
function shareOf({ delivered, expected, seconds }: FanOutSample, offeredSeconds: number): number {
  return (delivered / expected) * Math.min(1, offeredSeconds / seconds);
}

function rowOf(title: string, figures: Rounds<Figure>): string[] {
  const hasPaused = figures.has("p99 with some not reading");
  return [
    title,
    `${figure(figures.median("share") * 100)} %`,
    `${figure(figures.median("cpu"))} µs`,
    `${figure(figures.median("p50"))} ms`,
    `${figure(figures.median("p99"))} ms`,
    hasPaused ? `${figure(figures.median("p99 with some not reading"))} ms` : "–",
    hasPaused ? ratioText(figures.ratio("p99 with some not reading", "p99")) : "–",
  ];
}
