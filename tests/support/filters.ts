import fc from "fast-check";
import type { FilterLimits } from "../../packages/server/src/filter/filter-limits.ts";
import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";

/** A filter as JSON, as a client writes it. */
export type RawFilter = Readonly<Record<string, unknown>>;

/** What random filters are made of. */
export interface FilterVocabulary {
  readonly paths: fc.Arbitrary<string>;
  /** Values to be equal to. */
  readonly values: fc.Arbitrary<JsonValue>;
  /** Bounds of ranges. */
  readonly bounds: fc.Arbitrary<string | number>;
}

/** What every filter of {@link rawFilters} is within, and twice as much. */
export const WIDE_LIMITS: FilterLimits = { maxBytes: 1_000_000, maxTerms: 10_000, maxDepth: 50 };

/** Filters of the whole language, a few perhaps beyond its limits. */
export function rawFilters({ paths, values, bounds }: FilterVocabulary): fc.Arbitrary<RawFilter> {
  const operators = (inner: fc.Arbitrary<unknown>): fc.Arbitrary<RawFilter> => {
    const operator = fc.oneof(
      fc.tuple(fc.constantFrom("$eq", "$ne"), values),
      fc.tuple(fc.constantFrom("$in", "$nin"), fc.array(values, { maxLength: 4 })),
      fc.tuple(fc.constantFrom("$gt", "$gte", "$lt", "$lte"), bounds),
      fc.tuple(fc.constant("$exists"), fc.boolean()),
      fc.tuple(fc.constant("$not"), inner),
    );
    return fc.array(operator, { minLength: 1, maxLength: 2 }).map((all) => Object.fromEntries<unknown>(all));
  };
  const one = operators(fc.constant({ $gt: 0 }));
  const field = fc
    .tuple(paths, fc.oneof(values, one, operators(one), operators(operators(one))))
    .map(([path, condition]) => Object.fromEntries([[path, condition]]) as RawFilter);
  const { filter } = fc.letrec<{ filter: RawFilter; list: RawFilter[] }>((tie) => ({
    list: fc.array(tie("filter"), { minLength: 1, maxLength: 3 }),
    filter: fc.oneof(
      { maxDepth: 2, withCrossShrink: true },
      { arbitrary: field, weight: 4 },
      {
        arbitrary: fc.tuple(field, field).map(([one_, other]) => ({ ...one_, ...other })),
        weight: 2,
      },
      { arbitrary: tie("list").map(($and) => ({ $and })), weight: 1 },
      { arbitrary: tie("list").map(($or) => ({ $or })), weight: 2 },
      {
        arbitrary: fc.tuple(field, tie("list")).map(([first, $or]) => ({ ...first, $or })),
        weight: 1,
      },
    ),
  }));
  return filter;
}

/** What a filter means, written down as plainly as possible: no normal form, no short cuts. */
export function naiveMatch(filter: RawFilter, document: JsonValue): boolean {
  return Object.entries(filter).every(([name, operand]) => {
    if (name === "$and") return (operand as RawFilter[]).every((inner) => naiveMatch(inner, document));
    if (name === "$or") return (operand as RawFilter[]).some((inner) => naiveMatch(inner, document));
    return fieldMatches([...valuesAt(document, name.split("."))], operand);
  });
}

function fieldMatches(found: readonly (JsonValue | undefined)[], condition: unknown): boolean {
  const operators = Object.entries(condition ?? {});
  const isValue = typeof condition !== "object" || operators.every(([name]) => !name.startsWith("$"));
  if (isValue) return found.some((value) => same(value, condition));
  return operators.every(([name, operand]) => {
    switch (name) {
      case "$eq":
        return found.some((value) => same(value, operand));
      case "$ne":
        return !found.some((value) => same(value, operand));
      case "$in":
        return found.some((value) => (operand as unknown[]).some((one) => same(value, one)));
      case "$nin":
        return !found.some((value) => (operand as unknown[]).some((one) => same(value, one)));
      case "$gt":
        return found.some((value) => order(value, operand) > 0);
      case "$gte":
        return found.some((value) => order(value, operand) >= 0);
      case "$lt":
        return found.some((value) => order(value, operand) < 0);
      case "$lte":
        return found.some((value) => order(value, operand) <= 0);
      case "$exists":
        return found.some((value) => value !== undefined) === operand;
      case "$not":
        return !fieldMatches(found, operand);
      default:
        throw new Error(`no such operator: ${name}`);
    }
  });
}

/** NaN, which compares as nothing, for values of different types. */
function order(value: unknown, bound: unknown): number {
  if (typeof value === "number" && typeof bound === "number") return value - bound;
  if (typeof value !== "string" || typeof bound !== "string") return Number.NaN;
  return Buffer.compare(Buffer.from(value), Buffer.from(bound));
}

function same(value: unknown, operand: unknown): boolean {
  return sortedText(value ?? null) === sortedText(operand);
}

function sortedText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedText).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([name, inner]) => `${JSON.stringify(name)}:${sortedText(inner)}`,
  );
  return `{${members.toSorted().join(",")}}`;
}

function* valuesAt(value: JsonValue | undefined, path: readonly string[]): Generator<JsonValue | undefined> {
  const [name = "", ...rest] = path;
  if (Array.isArray(value)) {
    const elements: readonly JsonValue[] = value;
    for (const [index, element] of elements.entries()) {
      const isContainer = typeof element === "object" && element !== null;
      if (isContainer && !Array.isArray(element)) yield* valuesAt(element, path);
      if (String(index) !== name) continue;
      if (rest.length === 0) yield element;
      else if (isContainer) yield* valuesAt(element, rest);
    }
    return;
  }
  const members = Object.entries((value ?? {}) as Record<string, JsonValue>);
  const found = members.find(([key]) => key === name)?.[1];
  if (rest.length > 0 && typeof found === "object" && found !== null) yield* valuesAt(found, rest);
  else if (rest.length > 0) yield undefined;
  else if (Array.isArray(found)) yield* [...(found as readonly JsonValue[]), found];
  else yield found;
}
