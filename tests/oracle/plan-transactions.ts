import type { Dice } from "./dice.ts";
import type {
  CollectionPlan,
  PlannedValue,
  SlotWrite,
  SourceKind,
  Step,
  TransactionPlan,
  WriterPlan,
} from "./plan.ts";

/** What transactions are planned for. */
export interface TransactionScope {
  readonly source: SourceKind;
  readonly tenants: readonly string[];
  readonly collections: readonly CollectionPlan[];
}

const LANES = 3;
const FENCES = 2;
/** Of each tenant. */
const FENCE_ROWS = 4;
const SLOTS = 10;
/** A statement over so many documents at once, in slots that nothing else uses. */
const BULK_SLOTS: Readonly<Record<SourceKind, number>> = { wal: 400, notify: 400, mongodb: 100 };
const BODY_LENGTHS = [0, 10, 10, 10, 3_000, 9_000];
const LARGE_BODY_LENGTHS = [60_000, 1_300_000];

/** Writers that run at the same time, each on documents of its own. */
export function planWriters(dice: Dice, scope: TransactionScope, work: number): readonly WriterPlan[] {
  const perLane = Math.ceil(work / LANES);
  return Array.from({ length: LANES }, (_, lane) => {
    const own = dice.fork();
    const transactions = Array.from({ length: perLane }, (__, index) =>
      planTransaction(own, scope, { id: index * LANES + lane + 1, progress: index / perLane, work }),
    );
    return { lane, transactions };
  });
}

/** A few documents of everybody everywhere, in a transaction of its own. */
export function planFences(
  dice: Dice,
  { tenants, collections }: TransactionScope,
  work: number,
): readonly WriterPlan[] {
  return Array.from({ length: FENCES }, (_, index) => {
    const steps = collections.map((collection): Step => {
      const owners = tenants.flatMap((tenant) => Array.from({ length: FENCE_ROWS }, () => tenant));
      const rows = owners.map((tenant, slot) => planRow(dice, collection, slot, tenant, true));
      return { kind: "write", collection: collection.name, rows };
    });
    const id = work + LANES + index + 1;
    return { lane: LANES + index, transactions: [{ id, pauseMs: 0, steps, holdMs: 0, commits: true }] };
  });
}

interface Place {
  readonly id: number;
  /** How much of the world is over, from 0 to 1. */
  readonly progress: number;
  readonly work: number;
}

function planTransaction(
  dice: Dice,
  scope: TransactionScope,
  { id, progress, work }: Place,
): TransactionPlan {
  const there = scope.collections.filter(({ madeAt }) => madeAt === 0 || progress > (1.5 * madeAt) / work);
  const steps = Array.from({ length: dice.int(1, 6) }, () => planStep(dice, scope, dice.pick(there)));
  return {
    id,
    pauseMs: dice.chance(0.1) ? dice.int(20, 120) : dice.int(0, 20),
    steps,
    holdMs: dice.chance(0.15) ? dice.int(10, 150) : 0,
    commits: dice.chance(0.9),
  };
}

function planStep(dice: Dice, { source, tenants }: TransactionScope, collection: CollectionPlan): Step {
  const tenant = (): string | null => (dice.chance(0.05) ? null : dice.pick(tenants));
  const slot = (): number => dice.int(0, SLOTS - 1);
  const on = { collection: collection.name };
  const roll = dice.int(1, 1000);
  if (roll <= 90) return { kind: "move", ...on, slot: slot(), tenant: tenant() };
  if (roll <= 200) return { kind: "delete", ...on, slots: dice.some(slots(0, SLOTS), dice.int(1, 3)) };
  if (roll <= 215) {
    const rows = slots(SLOTS, BULK_SLOTS[source]).map((each) =>
      planRow(dice, collection, each, tenant(), true),
    );
    return { kind: "write", ...on, rows };
  }
  if (roll <= 235) return { kind: "delete", ...on, slots: slots(SLOTS, BULK_SLOTS[source]) };
  if (source === "mongodb" && roll <= 330) {
    const one = slot();
    return { kind: "finish", ...on, slot: one, values: planRow(dice, collection, one, null, false).values };
  }
  if (source !== "mongodb") {
    if (roll <= 290) return { kind: "savepoint" };
    if (roll <= 320) return { kind: "rollback_to" };
    if (roll <= 340) return { kind: "release" };
    if (roll <= 400) return { kind: "rekey", ...on, slot: slot() };
    if (roll <= 480) return { kind: "publish", tenant: dice.pick(tenants) };
    if (roll <= 484) return { kind: "truncate", ...on };
  }
  const chosen = dice.some(slots(0, SLOTS), dice.chance(0.3) ? dice.int(2, 6) : 1);
  return {
    kind: "write",
    ...on,
    rows: chosen.map((each) => planRow(dice, collection, each, tenant(), false)),
  };
}

function slots(from: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

function planRow(
  dice: Dice,
  collection: CollectionPlan,
  slot: number,
  tenant: string | null,
  isBulk: boolean,
): SlotWrite {
  const values: Record<string, PlannedValue> = {};
  // A statement gives all its rows the same columns.
  for (const { name, values: pool } of collection.columns) {
    if (isBulk || dice.chance(0.5)) values[name] = dice.pick(pool);
  }
  const isLarge = !isBulk && dice.chance(0.01);
  const changesBody = !isBulk && dice.chance(0.4);
  const lengths = isLarge ? LARGE_BODY_LENGTHS : BODY_LENGTHS;
  return { slot, tenant, values, bodyLength: isLarge || changesBody ? dice.pick(lengths) : undefined };
}
