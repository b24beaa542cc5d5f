import { setTimeout as delay } from "node:timers/promises";
import { until } from "../support/until.ts";
import { createTenant, openAccess } from "./access.ts";
import type { Cause } from "./causes.ts";
import { runFaults } from "./faults.ts";
import { Journal, type CommittedTransaction } from "./journal.ts";
import { ListSubscriber } from "./list-subscriber.ts";
import { openStageDatabase } from "./open-stage-database.ts";
import type { CollectionPlan, SubscriberPlan, WorldPlan } from "./plan.ts";
import { SdkSubscriber } from "./sdk-subscriber.ts";
import { SseSubscriber } from "./sse-subscriber.ts";
import { Stage } from "./stage.ts";
import type { Store } from "./store.ts";
import type { Subscriber, SubscriberTools } from "./subscriber.ts";
import { judgeWorld, type Verdict } from "./verdict.ts";
import { Viewer } from "./viewer.ts";
import { WorkClock } from "./work-clock.ts";
import { runWriter } from "./writer.ts";

/** How a world goes, told while it runs. */
export interface WorldProgress {
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

/** When so long nothing has come to anybody, what is missing will not come any more. */
const QUIET_MS = 25_000;
const QUIET_POLL_MS = 250;
const CREATE_TIMEOUT_MS = 60_000;
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
    const made = new Map(
      this.#plan.collections
        .filter(({ madeAt }) => madeAt > 0)
        .map((each) => [each.name, this.#clock.reach(each.madeAt).then(() => createSoon(store, each))]),
    );
    const collections = new Map(this.#plan.collections.map((collection) => [collection.name, collection]));
    const tools = {
      store,
      journal: this.#journal,
      clock: this.#clock,
      collections,
      made: async (name: string): Promise<void> => made.get(name),
    };
    return [...made.values(), ...this.#plan.writers.map((writer) => runWriter(writer, tools))];
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

  async #judge(): Promise<Verdict> {
    await this.#stage.untilReady();
    const { store } = this.#stage.database;
    const transactions = this.#journal.inOrder(await store.fetchCommitOrder());
    const rows = new Map(
      await Promise.all(
        this.#plan.collections.map(async (each) => [each.name, await store.fetchAll(each)] as const),
      ),
    );
    const judge = (): Verdict =>
      judgeWorld({
        plan: this.#plan,
        subscribers: this.#subscribers,
        causes: this.#allCauses(transactions),
        transactions,
        rows,
        output: () => this.#stage.output(),
      });
    await this.#untilQuiet(() => judge().objections.length === 0);
    return judge();
  }

  /** Waits until all is right, or nothing has come for so long that nothing will. */
  async #untilQuiet(isRight: () => boolean): Promise<void> {
    let events = -1;
    let sinceMs = performance.now();
    while (!isRight() && performance.now() - sinceMs < QUIET_MS) {
      const now = this.#progress().events;
      if (now !== events) sinceMs = performance.now();
      events = now;
      await delay(QUIET_POLL_MS);
    }
  }

  #allCauses(transactions: readonly CommittedTransaction[]): readonly Cause[] {
    const truncations = transactions.flatMap(({ entries, askedAtMs }) =>
      entries
        .filter((entry) => entry.kind === "truncated")
        .map(({ collection }): Cause => ({
          kind: "truncated",
          collection,
          fromMs: askedAtMs,
          untilMs: askedAtMs,
        })),
    );
    return [...this.#causes, ...truncations];
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

/** Waits for a database that is away. */
async function createSoon(store: Store, collection: CollectionPlan): Promise<void> {
  await until(
    () =>
      store.create(collection).then(
        () => true,
        (error: unknown) => {
          if (!store.isExpected(error)) throw error;
          return false;
        },
      ),
    { timeoutMs: CREATE_TIMEOUT_MS, describe: `a database that ${collection.name} can be made in` },
  );
}

function startSubscriber(tools: SubscriberTools): Promise<Subscriber> {
  const { client } = tools.plan;
  if (client === "sdk") return SdkSubscriber.start(tools);
  if (client === "list") return ListSubscriber.start(tools);
  return Promise.resolve(new SseSubscriber(tools));
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
