import type { FanOutSample } from "./fan-out-contestant.ts";
import { Rounds } from "./statistics.ts";

/** How events come: at a rate that leaves nothing to send together, or as fast as they can be published. */
export type FanOutLoad = "steady" | "burst";

/** A load at a number of connections. */
export interface FanOutCell {
  readonly load: FanOutLoad;
  readonly connections: number;
}

/** What is known of a server under a load, besides its CPU time. */
export type FanOutFigure =
  "p50Ms" | "p99Ms" | "p999Ms" | "deliveriesPerSecond" | "lostShare" | "eventsPerRead";

/** What was measured, round after round, of each server and in each cell. */
export class FanOutFigures {
  readonly #rounds = new Rounds<string>();

  add(title: string, cell: FanOutCell, sample: FanOutSample): void {
    const add = (figure: string, value: number): void => this.#rounds.add(keyOf(title, cell, figure), value);
    add("cpu", (sample.cpuSeconds * 1e6) / sample.delivered);
    add("p50Ms", sample.latency.p50Ms);
    add("p99Ms", sample.latency.p99Ms);
    add("p999Ms", sample.latency.p999Ms);
    add("deliveriesPerSecond", sample.delivered / sample.seconds);
    add("eventsPerRead", sample.delivered / sample.reads);
    add("lostShare", sample.lost / sample.expected);
  }

  /** Whether the server was measured in this cell. */
  has(title: string, cell: FanOutCell): boolean {
    return this.#rounds.has(keyOf(title, cell, "cpu"));
  }

  /** µs of the server's CPU time for one delivery: the median of all rounds. */
  cpuMicroseconds(title: string, cell: FanOutCell): number {
    return this.#rounds.median(keyOf(title, cell, "cpu"));
  }

  /** The same as a multiple of another server's: the median of the rounds' own ratios. */
  cpuRatio(title: string, base: string, cell: FanOutCell): number {
    return this.#rounds.ratio(keyOf(title, cell, "cpu"), keyOf(base, cell, "cpu"));
  }

  median(title: string, cell: FanOutCell, figure: FanOutFigure): number {
    return this.#rounds.median(keyOf(title, cell, figure));
  }
}

function keyOf(title: string, { load, connections }: FanOutCell, figure: string): string {
  return [title, load, connections, figure].join("|");
}
