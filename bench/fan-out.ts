import type { Benchmark, BenchmarkContext, BenchmarkReport } from "./benchmark.ts";
import { renderFanOut } from "./support/fan-out-report.ts";
import { closeAll, FanOutEntries } from "./support/fan-out-entries.ts";
import { requireAll, type FanOutContestant } from "./support/fan-out-contestant.ts";
import { FanOutFigures, type FanOutCell } from "./support/fan-out-figures.ts";
import type { RunOptions } from "./support/load-group.ts";

const TRANSPORTS = ["websocket", "sse"] as const;
/** All connections together. */
const STEADY_PER_SECOND = 50_000;
const BURST_EVENTS = 200;
/** Of a round's bursts: enough CPU time to be measured, and not more; others need a multiple for each. */
const BURST_DELIVERIES = 2_000_000;
const BURST_DELIVERIES_OF_OTHERS = 200_000;
const MAX_BURSTS = 20;
/** From so many on, one round of bursts is enough for the others: it is millions of writes. */
const MANY_CONNECTIONS = 10_000;
const WARM_UP_EVENTS_OF_OTHERS = 20;
/** Of ours and the floor everything has to come, however busy the machine is. */
const PATIENCE_MS = 60_000;
/** The others may end connections, for whose events nobody should wait long. */
const PATIENCE_WITH_OTHERS_MS = 15_000;
/** The process that holds the connections needs some files more. */
const FILES_BESIDE_CONNECTIONS = 100;

/** How much is measured. */
interface Plan {
  readonly connections: readonly number[];
  readonly steadySeconds: number;
  /** Of ours and the floor. */
  readonly rounds: number;
  /** Of the others, which take part in the first ones. */
  readonly otherRounds: number;
}

const FULL: Plan = { connections: [100, 1000, 10_000], steadySeconds: 1.5, rounds: 5, otherRounds: 3 };
const SHORT: Plan = { connections: [1000], steadySeconds: 1, rounds: 3, otherRounds: 1 };

/** What one delivered event costs a server. */
export const fanOut: Benchmark = { name: "fan-out", title: "Fan-out", run };

async function run(context: BenchmarkContext): Promise<BenchmarkReport> {
  const { short, machine, progress } = context;
  const wanted = short ? SHORT : FULL;
  const connections = wanted.connections.filter(
    (each) => each + FILES_BESIDE_CONNECTIONS <= machine.maxOpenFiles,
  );
  const plan = { ...wanted, connections };
  const entries = await FanOutEntries.prepare({ ...context, names: context.peers });
  const race = new Race(plan, progress);
  for (const transport of TRANSPORTS) {
    progress(`${transport}: starting the servers`);
    const contestants = await entries.start(transport, { withOthers: true });
    try {
      for (const each of connections) await race.run(contestants, each);
    } finally {
      await closeAll(contestants);
    }
  }
  const notes = [...entries.absent, ...race.failures];
  if (connections.length < wanted.connections.length) {
    notes.push(
      `The system lets a process open only ${machine.maxOpenFiles} files, so there are no more connections.`,
    );
  }
  return renderFanOut(race.figures, { ...plan, titles: race.titles, notes });
}

/** Servers in turns, under the same loads. */
class Race {
  readonly figures = new FanOutFigures();
  /** Of the servers, in the order in which they began. */
  readonly titles: string[] = [];
  /** Sentences on those that did not get through. */
  readonly failures: string[] = [];
  readonly #failed = new Set<string>();
  readonly #plan: Plan;
  readonly #progress: (message: string) => void;

  constructor(plan: Plan, progress: (message: string) => void) {
    this.#plan = plan;
    this.#progress = progress;
  }

  async run(contestants: readonly FanOutContestant[], connections: number): Promise<void> {
    for (const contestant of contestants) {
      if (!this.titles.includes(contestant.title)) this.titles.push(contestant.title);
      this.#progress(`${contestant.title}: connecting ${connections}`);
      await this.#attempt(contestant, async () => {
        await contestant.connect(connections);
        await contestant.run(
          isOther(contestant) ? { events: WARM_UP_EVENTS_OF_OTHERS } : burstOf(contestant, connections),
        );
        await contestant.run(this.#steady(connections));
      });
    }
    for (let round = 0; round < this.#plan.rounds; round += 1) {
      this.#progress(`${connections} connections, round ${round + 1} of ${this.#plan.rounds}`);
      for (const contestant of contestants) {
        if (isOther(contestant) && round >= this.#plan.otherRounds) continue;
        const hasBurst = !isOther(contestant) || connections < MANY_CONNECTIONS || round === 0;
        await this.#attempt(contestant, async () => {
          await this.#measure(contestant, { load: "steady", connections }, this.#steady(connections));
          if (!hasBurst) return;
          await this.#measure(contestant, { load: "burst", connections }, burstOf(contestant, connections));
        });
      }
    }
  }

  async #measure(contestant: FanOutContestant, cell: FanOutCell, load: RunOptions): Promise<void> {
    if (isOther(contestant)) {
      const sample = await contestant.run({ ...load, stallMs: PATIENCE_WITH_OTHERS_MS });
      this.figures.add(contestant.title, cell, sample);
      return;
    }
    const sample = await contestant.run({ ...load, stallMs: PATIENCE_MS });
    requireAll(contestant, sample);
    this.figures.add(contestant.title, cell, sample);
  }

  /** What fails of ours or of the floor fails the benchmark; another server is left out from then on. */
  async #attempt(contestant: FanOutContestant, work: () => Promise<void>): Promise<void> {
    const { title } = contestant;
    if (this.#failed.has(title)) return;
    try {
      await work();
    } catch (error) {
      if (!isOther(contestant)) throw error;
      this.#failed.add(title);
      this.failures.push(
        `${title} did not get further: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  #steady(connections: number): RunOptions {
    const perSecond = STEADY_PER_SECOND / connections;
    return { events: Math.ceil(perSecond * this.#plan.steadySeconds), perSecond };
  }
}

function isOther({ peer }: FanOutContestant): boolean {
  return peer.name !== "ours" && peer.name !== "floor";
}

function burstOf(contestant: FanOutContestant, connections: number): RunOptions {
  const deliveries = isOther(contestant) ? BURST_DELIVERIES_OF_OTHERS : BURST_DELIVERIES;
  const bursts = Math.round(deliveries / (BURST_EVENTS * connections));
  return { events: BURST_EVENTS, repeat: Math.min(MAX_BURSTS, Math.max(1, bursts)) };
}
