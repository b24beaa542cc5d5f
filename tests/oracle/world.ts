import { createTenant, openAccess } from "./access.ts";
import type { Cause } from "./causes.ts";
import { runFaults } from "./faults.ts";
import { judgeOnceQuiet } from "./judge-once-quiet.ts";
import { Journal } from "./journal.ts";
import { openStageDatabase } from "./open-stage-database.ts";
import type { SubscriberPlan, WorldPlan } from "./plan.ts";
import { Stage } from "./stage.ts";
import { startSubscriber } from "./start-subscriber.ts";
import { createSoon } from "./create-soon.ts";
import type { Subscriber, SubscriberTools } from "./subscriber.ts";
import type { Verdict } from "./evidence.ts";
import { Viewer } from "./viewer.ts";
import { WorkClock } from "./work-clock.ts";
import { runWriter, type WriterTools } from "./writer.ts";

/** How a world goes, told while it runs. */
interface WorldProgress {
  readonly done: number;
  readonly work: number;
  readonly events: number;
  readonly resets: number;
  readonly faults: number;
}

/** How a world is played. */
export interface WorldOptions {
  /** Called each second. */
  readonly onProgress?: (progress: WorldProgress) => void;
  /** Ends it early, with an error. */
  readonly signal?: AbortSignal;
}

const PROGRESS_INTERVAL_MS = 1_000;

/** Plays a world, and says what was wrong in it. */
export async function runWorld(plan: WorldPlan, options: WorldOptions = {}): Promise<Verdict> {
  const database = await openStageDatabase(plan);
  try {
    for (const collection of plan.collections) {
      if (collection.madeAt === 0) await database.store.create(collection);
    }
    const stage = await Stage.open(plan, database);
    try {
      return await new World(plan, stage, options).run();
    } finally {
      await stage.close();
    }
  } finally {
    await database.close();
  }
}

class World {
  readonly #plan: WorldPlan;
  readonly #stage: Stage;
  readonly #journal = new Journal();
  readonly #clock: WorkClock;
  readonly #causes: Cause[] = [];
  readonly #subscribers: Subscriber[] = [];
  /** Collections that come later. */
  readonly #made = new Map<string, Promise<void>>();
  readonly #options: WorldOptions;

  constructor(plan: WorldPlan, stage: Stage, options: WorldOptions) {
    this.#plan = plan;
    this.#stage = stage;
    this.#clock = new WorkClock(plan.work);
    this.#options = options;
  }

  async run(): Promise<Verdict> {
    const { signal } = this.#options;
    const stop = (): void => this.#clock.stop();
    signal?.addEventListener("abort", stop);
    const timer = setInterval(() => this.#options.onProgress?.(this.#progress()), PROGRESS_INTERVAL_MS);
    try {
      for (const tenant of this.#plan.tenants) await createTenant(this.#stage.address, tenant);
      const coming = await Promise.all(this.#plan.subscribers.map((plan) => this.#prepare(plan)));
      await allOrStop(this.#clock, [
        ...this.#write(),
        ...coming.map((start) => start()),
        runFaults(this.#plan.faults, { stage: this.#stage, clock: this.#clock, causes: this.#causes }),
      ]);
      signal?.throwIfAborted();
      return await this.#judge();
    } finally {
      signal?.removeEventListener("abort", stop);
      clearInterval(timer);
      for (const subscriber of this.#subscribers) await subscriber.close();
    }
  }

  #write(): readonly Promise<void>[] {
    const { store } = this.#stage.database;
    for (const each of this.#plan.collections) {
      if (each.madeAt === 0) continue;
      this.#made.set(
        each.name,
        this.#clock.reach(each.madeAt).then(() => createSoon(store, each)),
      );
    }
    const tools = this.#writerTools();
    return [...this.#made.values(), ...this.#plan.writers.map((writer) => runWriter(writer, tools))];
  }

  #writerTools(): WriterTools {
    return {
      store: this.#stage.database.store,
      journal: this.#journal,
      clock: this.#clock,
      collections: new Map(this.#plan.collections.map((collection) => [collection.name, collection])),
      made: async (name) => this.#made.get(name),
    };
  }

  /** Makes its key at once, and a function that lets it come, leave and come back. */
  async #prepare(plan: SubscriberPlan): Promise<() => Promise<void>> {
    const collection = this.#plan.collections.find(({ name }) => name === plan.collection);
    const viewer = collection === undefined ? undefined : new Viewer(plan, collection);
    const access = await openAccess(plan, this.#stage.address);
    const tools: SubscriberTools = { plan, viewer, access, journal: this.#journal };
    return async () => {
      await this.#clock.reach(plan.from);
      this.#noteFilter(plan);
      const subscriber = await startSubscriber(tools);
      this.#subscribers.push(subscriber);
      for (const { at, work } of plan.absences) {
        await this.#clock.reach(at);
        await subscriber.leave();
        await this.#clock.reach(at + work);
        await subscriber.comeBack();
      }
    };
  }

  /** The first filter of a collection makes the database say what documents were before. */
  #noteFilter({ collection, where, grant }: SubscriberPlan): void {
    const isFiltered = [where, grant.keyWhere, grant.token?.filter].some((filter) => filter !== undefined);
    const isNoted = this.#causes.some(
      (cause) => cause.kind === "filter_needed" && cause.collection === collection,
    );
    if (!isFiltered || isNoted) return;
    const fromMs = performance.now();
    this.#causes.push({ kind: "filter_needed", collection, fromMs, untilMs: Number.POSITIVE_INFINITY });
  }

  /** Once nothing goes wrong any more: after a last write everybody has all, and after another one nothing more. */
  async #judge(): Promise<Verdict> {
    await this.#stage.untilReady();
    let verdict: Verdict | undefined;
    for (const fence of this.#plan.fences) {
      await runWriter(fence, this.#writerTools());
      verdict = await judgeOnceQuiet({
        plan: this.#plan,
        subscribers: this.#subscribers,
        causes: this.#causes,
        journal: this.#journal,
        stage: this.#stage,
      });
      if (verdict.objections.length > 0) break;
    }
    if (verdict === undefined) throw new Error("There is no end to judge.");
    return verdict;
  }

  #progress(): WorldProgress {
    const count = (of: (subscriber: Subscriber) => number): number =>
      this.#subscribers.reduce((sum, subscriber) => sum + of(subscriber), 0);
    return {
      done: this.#clock.done,
      work: this.#plan.work,
      events: count(({ observations }) => observations.eventCount),
      resets: count(({ observations }) => observations.resets.length),
      faults: this.#causes.filter(({ kind }) => kind !== "filter_needed").length,
    };
  }
}

/** Waits for all; after a failure, lets those end that wait for work that nobody does any more. */
async function allOrStop(clock: WorkClock, running: readonly Promise<void>[]): Promise<void> {
  try {
    await Promise.all(running);
  } catch (error) {
    clock.stop();
    await Promise.allSettled(running);
    throw error;
  }
}
