import { setTimeout as delay } from "node:timers/promises";
import type { CommittedTransaction, Journal } from "./journal.ts";
import { LaneState } from "./lane-state.ts";
import { OpenTransaction } from "./open-transaction.ts";
import type { CollectionPlan, TransactionPlan, WriterPlan } from "./plan.ts";
import type { Store, StoreTransaction } from "./store.ts";
import type { WorkClock } from "./work-clock.ts";

/** What writers of one world share. */
export interface WriterTools {
  readonly store: Store;
  readonly journal: Journal;
  readonly clock: WorkClock;
  readonly collections: ReadonlyMap<string, CollectionPlan>;
  /** Resolves once the collection is there. */
  readonly made: (collection: string) => Promise<void>;
}

const RETRY_MS = 50;

/** Plays a writer's transactions, whatever happens to the database meanwhile. */
export async function runWriter({ lane, transactions }: WriterPlan, tools: WriterTools): Promise<void> {
  let state = new LaneState(lane);
  for (const plan of transactions) {
    if (tools.clock.isStopped) return;
    for (const step of plan.steps) if ("collection" in step) await tools.made(step.collection);
    await delay(plan.pauseMs);
    state = await runTransaction(plan, state, tools);
    tools.clock.tick();
  }
}

/** Resolves with the state after it: the new one if it took effect. */
async function runTransaction(
  plan: TransactionPlan,
  state: LaneState,
  { store, journal, collections }: WriterTools,
): Promise<LaneState> {
  const session = await beginSoon(store, plan.id);
  const transaction = new OpenTransaction(plan.id, state, { store: session, journal, collections });
  const committed = (askedAtMs: number): CommittedTransaction => ({
    id: plan.id,
    entries: transaction.entries,
    askedAtMs,
  });
  let askedAtMs: number | undefined;
  try {
    for (const step of plan.steps) await transaction.take(step);
    await delay(plan.holdMs);
    if (!plan.commits) {
      await session.rollback();
      return state;
    }
    askedAtMs = performance.now();
    await session.commit();
    journal.add(committed(askedAtMs));
    return transaction.state;
  } catch (error) {
    await session.rollback();
    if (!store.isExpected(error)) throw error;
    if (askedAtMs === undefined || !(await store.wasCommitted(plan.id))) return state;
    journal.add(committed(askedAtMs));
    return transaction.state;
  }
}

/** Waits for a database that is away. */
async function beginSoon(store: Store, id: number): Promise<StoreTransaction> {
  for (;;) {
    try {
      return await store.begin(id);
    } catch (error) {
      if (!store.isExpected(error)) throw error;
      await delay(RETRY_MS);
    }
  }
}
