import type { FieldPath } from "./field-path.ts";
import type { JsonValue } from "./json-value.ts";

/** The comparisons of one type's values. */
export type RangeOperator = "$gt" | "$gte" | "$lt" | "$lte";

/**
 * A filter in its normal form. Nodes of one id mean the same; of nodes that mean the
 * same, many have one id: order, nesting and repetition of what is and-ed and or-ed, `$eq` against `$in`
 * of one value, `$ne` against `$not` make no difference.
 */
export type FilterNode =
  | { readonly kind: "and"; readonly id: string; readonly nodes: readonly FilterNode[] }
  | { readonly kind: "or"; readonly id: string; readonly nodes: readonly FilterNode[] }
  | { readonly kind: "not"; readonly id: string; readonly node: FilterNode }
  | InNode
  | RangeNode
  | { readonly kind: "exists"; readonly id: string; readonly path: FieldPath };

/** One of the path's values is one of these; null stands for a missing one too. */
export interface InNode {
  readonly kind: "in";
  readonly id: string;
  readonly path: FieldPath;
  /** None twice, in a fixed order. Without any, nothing matches. */
  readonly values: readonly JsonValue[];
}

/** One of the path's values is of the bound's type, and on this side of it. */
export interface RangeNode {
  readonly kind: "range";
  readonly id: string;
  readonly path: FieldPath;
  readonly operator: RangeOperator;
  readonly bound: string | number;
}

/** What every document matches. */
export const EVERYTHING: FilterNode = { kind: "and", id: "{}", nodes: [] };

/** @param values - canonical: members sorted, no negative zero. */
export function inNode(path: FieldPath, values: readonly JsonValue[]): InNode {
  const byText = new Map(values.map((value) => [JSON.stringify(value), value]));
  const texts = [...byText.keys()].toSorted();
  const [only] = texts;
  const operand = texts.length === 1 ? `"$eq":${only ?? ""}` : `"$in":[${texts.join(",")}]`;
  return {
    kind: "in",
    id: onField(path, operand),
    path,
    values: texts.map((text) => byText.get(text) ?? null),
  };
}

export function rangeNode(path: FieldPath, operator: RangeOperator, bound: string | number): RangeNode {
  return {
    kind: "range",
    id: onField(path, `"${operator}":${JSON.stringify(bound)}`),
    path,
    operator,
    bound,
  };
}

export function existsNode(path: FieldPath): FilterNode {
  return { kind: "exists", id: onField(path, '"$exists":true'), path };
}

/** The exact complement. */
export function complement(node: FilterNode): FilterNode {
  return node.kind === "not" ? node.node : { kind: "not", id: `{"$not":${node.id}}`, node };
}

/** What matches all of them. */
export function conjunction(nodes: readonly FilterNode[]): FilterNode {
  const parts = sorted(nodes.flatMap((node) => (node.kind === "and" ? node.nodes : [node])));
  const [first = EVERYTHING] = parts;
  return parts.length < 2 ? first : { kind: "and", id: `{"$and":[${idsOf(parts)}]}`, nodes: parts };
}

/** What matches one of them. */
export function disjunction(nodes: readonly FilterNode[]): FilterNode {
  const alternatives = nodes.flatMap((node) => (node.kind === "or" ? node.nodes : [node]));
  if (alternatives.some(({ id }) => id === EVERYTHING.id)) return EVERYTHING;
  const parts = sorted(mergeEqualities(alternatives));
  const [first = EVERYTHING] = parts;
  return parts.length < 2 ? first : { kind: "or", id: `{"$or":[${idsOf(parts)}]}`, nodes: parts };
}

/** Alternatives on one path are one list of values: that is found by an index. */
function mergeEqualities(nodes: readonly FilterNode[]): readonly FilterNode[] {
  const equalities = new Map<string, InNode[]>();
  const others: FilterNode[] = [];
  for (const node of nodes) {
    if (node.kind === "in") {
      const key = node.path.join(".");
      equalities.set(key, [...(equalities.get(key) ?? []), node]);
    } else others.push(node);
  }
  for (const same of equalities.values()) {
    const values = same.flatMap((node) => node.values);
    others.push(inNode(same[0]?.path ?? [], values));
  }
  return others;
}

function sorted(nodes: readonly FilterNode[]): readonly FilterNode[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return [...byId.values()].toSorted((left, right) => (left.id < right.id ? -1 : 1));
}

function idsOf(nodes: readonly FilterNode[]): string {
  return nodes.map(({ id }) => id).join(",");
}

function onField(path: FieldPath, operand: string): string {
  return `{${JSON.stringify(path.join("."))}:{${operand}}}`;
}
