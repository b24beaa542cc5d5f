import type { RawFilter } from "../support/filters.ts";
import type { Dice } from "./dice.ts";
import type { AbsencePlan, CollectionPlan, GrantPlan, SubscriberPlan } from "./plan.ts";
import { planFilter } from "./plan-filters.ts";

const SHORT_TOKEN_SECONDS = 5;
const LONG_TOKEN_SECONDS = 3_600;

/** What subscribers are planned for. */
export interface SubscriberScope {
  readonly tenants: readonly string[];
  readonly collections: readonly CollectionPlan[];
  readonly work: number;
  readonly hasTopics: boolean;
}

/** Subscribers of all kinds, of whom some come late, and most leave now and then. */
export function planSubscribers(
  dice: Dice,
  scope: SubscriberScope,
  count: number,
): readonly SubscriberPlan[] {
  return Array.from({ length: count }, (_, index) => {
    const own = dice.fork();
    const isOfTopics = scope.hasTopics && index % 8 === 7;
    const subscriber = isOfTopics ? planTopicSubscriber(own, scope) : planDocumentSubscriber(own, scope);
    return { ...subscriber, name: `${String(index + 1)} ${subscriber.client}` };
  });
}

type Unnamed = Omit<SubscriberPlan, "name">;

function planDocumentSubscriber(dice: Dice, scope: SubscriberScope): Unnamed {
  const collection = dice.pick(scope.collections);
  const client = dice.pick(["sse", "sse", "sse", "sdk", "sdk", "list"] as const);
  const from = dice.chance(0.6) ? 0 : dice.int(1, Math.floor(scope.work * 0.8));
  const begins = Math.max(from, collection.madeAt * 2);
  return {
    client,
    tenant: dice.pick(scope.tenants),
    collection: collection.name,
    where: dice.chance(0.6) ? planFilter(dice, collection, "client") : undefined,
    grant: planGrant(dice, collection),
    snapshot: client === "list" || dice.chance(0.6),
    from: begins,
    absences: planAbsences(dice, begins, scope.work),
    forgets: dice.chance(0.3),
  };
}

function planTopicSubscriber(dice: Dice, { tenants, work }: SubscriberScope): Unnamed {
  return {
    client: dice.pick(["sse", "sdk"] as const),
    tenant: dice.pick(tenants),
    collection: undefined,
    where: undefined,
    grant: {
      keyWhere: undefined,
      token: dice.chance(0.5) ? { filter: undefined, seconds: planSeconds(dice) } : undefined,
    },
    snapshot: false,
    from: 0,
    absences: planAbsences(dice, 0, work),
    forgets: dice.chance(0.3),
  };
}

function planGrant(dice: Dice, collection: CollectionPlan): GrantPlan {
  const filter = (chance: number): RawFilter | undefined =>
    dice.chance(chance) ? planFilter(dice, collection, "grant") : undefined;
  return {
    keyWhere: filter(0.3),
    token: dice.chance(0.5) ? { filter: filter(0.6), seconds: planSeconds(dice) } : undefined,
  };
}

/** Some tokens have to be fetched anew now and then. */
function planSeconds(dice: Dice): number {
  return dice.chance(0.3) ? SHORT_TOKEN_SECONDS : LONG_TOKEN_SECONDS;
}

function planAbsences(dice: Dice, from: number, work: number): readonly AbsencePlan[] {
  const absences: AbsencePlan[] = [];
  let at = from;
  for (;;) {
    at += dice.int(5, Math.max(10, Math.floor(work / 4)));
    const away = dice.chance(0.5) ? 0 : dice.int(1, Math.max(2, Math.floor(work / 8)));
    if (at + away >= work * 0.95) return absences;
    absences.push({ at, work: away });
    at += away;
  }
}
