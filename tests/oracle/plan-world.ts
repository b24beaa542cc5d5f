import { Dice } from "./dice.ts";
import type { SourceKind, WorldPlan } from "./plan.ts";
import { planCollections } from "./plan-collections.ts";
import { planFaults } from "./plan-faults.ts";
import { planSubscribers } from "./plan-subscribers.ts";
import { planFences, planWriters } from "./plan-transactions.ts";

/** Tenants that try to break out of names, quotes and patterns. */
const TENANTS = ["acme", "b:c", `it's "*"`, "$a.b"];
const TENANTS_OF_A_WORLD = 3;

const SHORT_HISTORY = 40;
const TRANSACTIONS = 300;
const FAULTS = 3;

/**
 * The plan of a world: the same for the same source, seed and size.
 *
 * @param size - how much happens: 1 takes about half a minute.
 */
export function planWorld(source: SourceKind, seed: number, size = 1): WorldPlan {
  const planned = Math.ceil(TRANSACTIONS * size);
  const dice = new Dice(seed);
  const tenants = dice.some(TENANTS, TENANTS_OF_A_WORLD);
  const collections = planCollections(dice.fork(), source, planned);
  const writers = planWriters(dice.fork(), { source, tenants, collections }, planned);
  const work = writers.reduce((sum, { transactions }) => sum + transactions.length, 0);
  const scope = { tenants, collections, work, hasTopics: source !== "mongodb" };
  return {
    source,
    seed,
    size,
    tenants,
    historyEvents: dice.chance(0.2) ? SHORT_HISTORY : undefined,
    collections,
    writers,
    fences: planFences(dice.fork(), { source, tenants, collections }, work),
    subscribers: planSubscribers(dice.fork(), scope, Math.ceil(8 + 8 * size)),
    faults: planFaults(dice.fork(), source, { work, count: 1 + Math.ceil(FAULTS * size) }),
    work,
  };
}
