import { Filter } from "./filter.ts";
import { DEFAULT_FILTER_LIMITS } from "./filter-limits.ts";
import type { FilterLimits } from "./filter-limits.ts";
import { complement, conjunction, disjunction, existsNode, inNode, rangeNode } from "./filter-node.ts";
import type { FilterNode } from "./filter-node.ts";
import { parsePath } from "./parse-path.ts";
import type { FieldPath } from "./field-path.ts";
import { ParsePlace, TermBudget } from "./parse-context.ts";
import { isPlainObject, parseBound, parseValue } from "./parse-operand.ts";
import { readInput } from "./read-input.ts";

const FIELD_OPERATORS = "$eq, $ne, $in, $nin, $gt, $gte, $lt, $lte, $exists and $not";

/**
 * Reads a filter. `docs/filters.md` describes the language.
 *
 * @param input - its JSON as text, or as a value.
 * @param origin - what people know it by, such as `where`; sentences begin with it.
 * @throws {RealtimeError} `invalid_filter`, `filter_too_large`.
 */
export function parseFilter(
  input: unknown,
  origin: string,
  limits: FilterLimits = DEFAULT_FILTER_LIMITS,
): Filter {
  const value = readInput(input, origin, limits.maxBytes);
  const outside = new ParsePlace(origin, 0, new TermBudget(limits, origin));
  return new Filter(parseConditions(value, outside.inside()));
}

/** `{"field": …, "$and": […]}` */
function parseConditions(value: unknown, place: ParsePlace): FilterNode {
  if (!isPlainObject(value)) throw place.invalid('is not an object. Write one such as {"status":"open"}.');
  return conjunction(
    Object.entries(value).map(([name, operand]) => {
      const inner = place.member(name);
      if (name === "$and") return conjunction(parseBranches(operand, inner));
      if (name === "$or") return disjunction(parseBranches(operand, inner));
      if (name.startsWith("$")) throw misplaced(name, inner);
      return parseField(parsePath(name, inner), operand, inner);
    }),
  );
}

function parseBranches(value: unknown, place: ParsePlace): readonly FilterNode[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw place.invalid('takes a list of at least one filter: [{"status":"open"},{"priority":{"$gte":3}}].');
  }
  const branches: readonly unknown[] = value;
  const inside = place.inside();
  return branches.map((branch, index) => parseConditions(branch, inside.element(index)));
}

/** A value to be equal to, or `{"$gte": …}`. */
function parseField(path: FieldPath, value: unknown, place: ParsePlace): FilterNode {
  const operators = isPlainObject(value) ? Object.keys(value).filter((name) => name.startsWith("$")) : [];
  if (!isPlainObject(value) || operators.length === 0) {
    place.budget.take(1);
    return inNode(path, [parseValue(value, place)]);
  }
  return parseOperators(path, value, place);
}

function parseOperators(
  path: FieldPath,
  value: Readonly<Record<string, unknown>>,
  place: ParsePlace,
): FilterNode {
  return conjunction(
    Object.entries(value).map(([name, operand]) => {
      const inner = place.member(name);
      if (name.startsWith("$")) return parseOperator(path, name, operand, inner);
      throw inner.invalid(
        'is a field between operators. Give it a condition of its own, by its path: {"a":{"$gt":1},"a.b":2}.',
      );
    }),
  );
}

function parseOperator(path: FieldPath, name: string, operand: unknown, place: ParsePlace): FilterNode {
  switch (name) {
    case "$eq":
    case "$ne": {
      place.budget.take(1);
      const node = inNode(path, [parseValue(operand, place)]);
      return name === "$eq" ? node : complement(node);
    }
    case "$in":
    case "$nin": {
      const node = parseList(path, operand, place);
      return name === "$in" ? node : complement(node);
    }
    case "$gt":
    case "$gte":
    case "$lt":
    case "$lte":
      place.budget.take(1);
      return rangeNode(path, name, parseBound(operand, place));
    case "$exists":
      place.budget.take(1);
      if (typeof operand !== "boolean") throw place.invalid("takes true or false.");
      return operand ? existsNode(path) : complement(existsNode(path));
    case "$not":
      if (!isPlainObject(operand) || !Object.keys(operand).some((inner) => inner.startsWith("$"))) {
        throw place.invalid('takes operators: {"$not":{"$gte":3}}. For a value that is not equal, use $ne.');
      }
      return complement(parseOperators(path, operand, place.inside()));
    case "$and":
    case "$or":
      throw place.invalid(`stands inside a field. Put it outside: {"${name}":[{"a":1},{"a":{"$gt":5}}]}.`);
    default:
      throw place.invalid(`is not an operator here. There are ${FIELD_OPERATORS}.`);
  }
}

function parseList(path: FieldPath, operand: unknown, place: ParsePlace): FilterNode {
  if (!Array.isArray(operand)) throw place.invalid('takes a list of values: ["open","waiting"].');
  const values: readonly unknown[] = operand;
  place.budget.take(values.length);
  return inNode(
    path,
    values.map((value, index) => parseValue(value, place.element(index))),
  );
}

function misplaced(name: string, place: ParsePlace): Error {
  if (FIELD_OPERATORS.split(/, | and /).includes(name)) {
    return place.invalid(`stands without a field. Write {"priority":{"${name}":…}}.`);
  }
  return place.invalid(`is not an operator here. There are $and and $or, and in a field ${FIELD_OPERATORS}.`);
}
