import fc from "fast-check";
import { DEFAULT_FILTER_LIMITS } from "../../packages/server/src/filter/filter-limits.ts";
import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { parseFilter } from "../../packages/server/src/filter/parse-filter.ts";
import { rawFilters, type RawFilter } from "../support/filters.ts";
import type { Dice } from "./dice.ts";
import type { CollectionPlan, ColumnPlan } from "./plan.ts";

/** Whose filter it is: a client's may name hidden columns too, which it sees as missing. */
export type FilterUse = "client" | "grant";

/** A filter on a collection: mostly one that divides its documents, now and then any at all. */
export function planFilter(dice: Dice, collection: CollectionPlan, use: FilterUse): RawFilter {
  const columns = collection.columns.filter(({ hidden }) => use === "grant" || !hidden || dice.chance(0.1));
  if (dice.chance(0.5)) return dividing(dice, columns);
  const wild = dice.sample(wildFilters(columns, use).filter(isWithinLimits));
  return dice.chance(0.5) ? { $or: [wild, dividing(dice, columns)] } : wild;
}

function dividing(dice: Dice, columns: readonly ColumnPlan[]): RawFilter {
  const byName = new Map(columns.map((column) => [column.name, column]));
  const few = ["room", "priority", "secret", "owner"].filter((name) => byName.has(name));
  const name = dice.pick(few);
  const values = byName.get(name)?.values ?? [];
  if (name === "priority" && dice.chance(0.5))
    return { priority: { [dice.pick(["$gte", "$lt"])]: dice.int(1, 4) } };
  if (dice.chance(0.3)) return { [name]: { $ne: dice.pick(values) } };
  return dice.chance(0.5) ? { [name]: { $in: dice.some(values, 3) } } : { [name]: dice.pick(values) };
}

/** Paths into values. */
const NESTED: Readonly<Record<string, readonly string[]>> = {
  meta: ["meta.n", "meta.tags", "meta.0", "meta.deep.0"],
  labels: ["labels.0"],
};

function wildFilters(columns: readonly ColumnPlan[], use: FilterUse): fc.Arbitrary<RawFilter> {
  const values = columns.flatMap((column) => column.values as readonly JsonValue[]).flatMap(asDelivered);
  const bounds = values.filter((value) => typeof value === "string" || typeof value === "number");
  const names = columns.flatMap(({ name }) => [name, ...(NESTED[name] ?? [])]);
  // A grant that names a column that there is not grants nothing.
  const paths = use === "client" ? [...names, "nothing"] : names;
  return rawFilters({
    paths: fc.constantFrom(...paths),
    values: fc.constantFrom(...values),
    bounds: fc.constantFrom(...bounds),
  });
}

/** A number that is planned as text is delivered as a number, if it can be. */
function asDelivered(value: JsonValue): readonly JsonValue[] {
  const number = Number(value);
  return typeof value === "string" && value !== "" && Number.isFinite(number) ? [value, number] : [value];
}

function isWithinLimits(filter: RawFilter): boolean {
  try {
    parseFilter(filter, "where", DEFAULT_FILTER_LIMITS);
    return true;
  } catch {
    return false;
  }
}
