import { Dice } from "./dice.ts";
import type { SourceKind, WorldPlan } from "./plan.ts";
import { planCollections } from "./plan-collections.ts";
import { planFaults } from "./plan-faults.ts";
import { planSubscribers } from "./plan-subscribers.ts";
import { planWriters } from "./plan-transactions.ts";

/** How much happens in a world. */
export interface WorldSize {
  /** Transactions, about. */
  readonly work: number;
  readonly subscribers: number;
  readonly faults: number;
}

/** Tenants that try to break out of names, quotes and patterns. */
const TENANTS = ["acme", "b:c", `it's "*"`, "$a.b"];
const TENANTS_OF_A_WORLD = 3;

/** The plan of a world: the same for the same source, seed and size. */
export function planWorld(source: SourceKind, seed: number, size: WorldSize): WorldPlan {
  const dice = new Dice(seed);
  const tenants = dice.some(TENANTS, TENANTS_OF_A_WORLD);
  const collections = planCollections(dice.fork(), source, size.work);
  const writers = planWriters(dice.fork(), { source, tenants, collections }, size.work);
  const work = writers.reduce((sum, { transactions }) => sum + transactions.length, 0);
  const scope = { tenants, collections, work, hasTopics: source !== "mongodb" };
  return {
    source,
    seed,
    tenants,
    collections,
    writers,
    subscribers: planSubscribers(dice.fork(), scope, size.subscribers),
    faults: planFaults(dice.fork(), source, { work, count: size.faults }),
    work,
  };
}
