import { compilePath } from "./field-path.ts";
import type { ValueTest } from "./field-path.ts";
import type { FilterNode, RangeOperator } from "./filter-node.ts";
import { compareText, equalJson, isScalar } from "./json-value.ts";
import type { JsonScalar, JsonValue } from "./json-value.ts";

/** Decides about one document, without allocating. */
export type DocumentTest = (document: JsonValue) => boolean;

/** A node as a function. */
export function compile(node: FilterNode): DocumentTest {
  switch (node.kind) {
    case "and":
      return every(node.nodes.map(compile));
    case "or":
      return some(node.nodes.map(compile));
    case "not": {
      const test = compile(node.node);
      return (document) => !test(document);
    }
    case "in":
      return compilePath(node.path, oneOf(node.values));
    case "range":
      return compilePath(node.path, within(node.operator, node.bound));
    case "exists":
      return compilePath(node.path, (value) => value !== undefined);
  }
}

function every(tests: readonly DocumentTest[]): DocumentTest {
  return (document) => {
    for (const test of tests) if (!test(document)) return false;
    return true;
  };
}

function some(tests: readonly DocumentTest[]): DocumentTest {
  return (document) => {
    for (const test of tests) if (test(document)) return true;
    return false;
  };
}

function oneOf(values: readonly JsonValue[]): ValueTest {
  const scalars = values.filter(isScalar);
  const others = values.filter((value) => !isScalar(value));
  const isOneOfScalars = oneOfScalars(scalars);
  if (others.length === 0) return isOneOfScalars;
  return (value) => {
    if (isOneOfScalars(value)) return true;
    for (const other of others) if (equalJson(other, value)) return true;
    return false;
  };
}

function oneOfScalars(values: readonly JsonScalar[]): ValueTest {
  const [only] = values;
  if (values.length === 1 && only !== null) return (value) => value === only;
  const set: ReadonlySet<unknown> = new Set(values);
  return set.has(null) ? (value) => value === undefined || set.has(value) : (value) => set.has(value);
}

function within(operator: RangeOperator, bound: string | number): ValueTest {
  if (typeof bound === "string") {
    const holds = HOLDS[operator];
    return (value) => typeof value === "string" && holds(compareText(value, bound));
  }
  switch (operator) {
    case "$gt":
      return (value) => typeof value === "number" && value > bound;
    case "$gte":
      return (value) => typeof value === "number" && value >= bound;
    case "$lt":
      return (value) => typeof value === "number" && value < bound;
    case "$lte":
      return (value) => typeof value === "number" && value <= bound;
  }
}

const HOLDS: Readonly<Record<RangeOperator, (order: number) => boolean>> = {
  $gt: (order) => order > 0,
  $gte: (order) => order >= 0,
  $lt: (order) => order < 0,
  $lte: (order) => order <= 0,
};
