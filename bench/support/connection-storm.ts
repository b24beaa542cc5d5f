import { CORES } from "./cpu-core.ts";
import type { FanOutServer } from "./fan-out-server.ts";
import type { LatencySummary } from "./latency-histogram.ts";
import { LoadGenerator } from "./load-generator.ts";
import type { OpenOptions } from "./load-group.ts";
import { cpuSecondsOf } from "./process-usage.ts";

/** What a storm of connections took. */
export interface StormFigures {
  readonly perSecond: number;
  readonly cpuSecondsEach: number;
  /** Of events to somebody who was there before; empty where that was not looked at. */
  readonly meanwhile: readonly LatencySummary[];
}

const EVENTS_PER_SECOND = 20;
/** Of half a second: the last one goes on for no longer than that after the storm. */
const EVENTS_AT_ONCE = 10;

/** Very many clients that connect as fast as they can, and one that was there before. */
export class ConnectionStorm {
  readonly #crowd: LoadGenerator;
  readonly #present: LoadGenerator;

  private constructor(crowd: LoadGenerator, present: LoadGenerator) {
    this.#crowd = crowd;
    this.#present = present;
  }

  static async start(): Promise<ConnectionStorm> {
    const place = { core: CORES.load };
    return new ConnectionStorm(await LoadGenerator.start(place), await LoadGenerator.start(place));
  }

  /** Connects somebody who gets events of their own during storms. */
  async openPresent(server: FanOutServer): Promise<void> {
    await this.#present.open("present", server, { connections: 1 });
    // The first events are slow: code is compiled.
    await this.#present.run("present", { events: EVENTS_AT_ONCE, perSecond: EVENTS_PER_SECOND });
  }

  /** @param options - `watched`: with events to the one of {@link openPresent}. Cuts all connections in the end. */
  async run(
    server: FanOutServer,
    options: OpenOptions & { readonly watched?: boolean },
  ): Promise<StormFigures> {
    const cpuBefore = await cpuSecondsOf(server.pids);
    const state = { isOver: false };
    const opening = this.#crowd.open("crowd", server, options).finally(() => {
      state.isOver = true;
    });
    const watching = options.watched === true ? this.#watch(state) : Promise.resolve([]);
    const [{ connectSeconds }, meanwhile] = await Promise.all([opening, watching]);
    const cpuSeconds = (await cpuSecondsOf(server.pids)) - cpuBefore;
    await this.#crowd.closeGroup("crowd");
    return {
      perSecond: options.connections / connectSeconds,
      cpuSecondsEach: cpuSeconds / options.connections,
      meanwhile,
    };
  }

  async close(): Promise<void> {
    await this.#crowd.close();
    await this.#present.close();
  }

  async #watch(storm: { readonly isOver: boolean }): Promise<readonly LatencySummary[]> {
    const summaries: LatencySummary[] = [];
    while (!storm.isOver) {
      const run = await this.#present.run("present", {
        events: EVENTS_AT_ONCE,
        perSecond: EVENTS_PER_SECOND,
      });
      if (run.lost > 0) throw new Error("Somebody who was there before missed an event during the storm.");
      summaries.push(run.latency);
    }
    return summaries;
  }
}
