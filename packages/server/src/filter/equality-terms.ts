import type { FieldPath } from "./field-path.ts";
import type { FilterNode } from "./filter-node.ts";
import { isScalar } from "./json-value.ts";
import type { JsonScalar } from "./json-value.ts";

/**
 * A condition without which a filter does not match: one of the values that `path` stands for
 * is among `keys`; null is what is missing too. Keys are compared as `Map` and `Set` do.
 */
export interface EqualityTerm {
  readonly path: FieldPath;
  readonly keys: readonly JsonScalar[];
}

/** The necessary equalities of a filter, the most selective first. */
export function equalityTerms(node: FilterNode): readonly EqualityTerm[] {
  return termsOf(node).toSorted(compareTerms);
}

/** The more selective one comes first. */
export function compareTerms(left: EqualityTerm, right: EqualityTerm): number {
  return cost(left) - cost(right) || compareNames(nameOf(left), nameOf(right));
}

function compareNames(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function termsOf(node: FilterNode): readonly EqualityTerm[] {
  switch (node.kind) {
    case "and":
      return node.nodes.flatMap(termsOf);
    case "or":
      return sharedTerms(node.nodes.map(termsOf));
    case "in": {
      const keys = node.values.filter(isScalar);
      return keys.length === node.values.length ? [{ path: node.path, keys }] : [];
    }
    case "not":
    case "range":
    case "exists":
      return [];
  }
}

/** Of alternatives, the paths that each of them has a term of: the values of all. */
function sharedTerms(alternatives: readonly (readonly EqualityTerm[])[]): readonly EqualityTerm[] {
  const [first = [], ...others] = alternatives;
  return first.flatMap((term) => {
    const keys = new Set(term.keys);
    for (const terms of others) {
      const same = terms.filter((other) => nameOf(other) === nameOf(term));
      const best = same.toSorted((left, right) => cost(left) - cost(right))[0];
      if (best === undefined) return [];
      for (const key of best.keys) keys.add(key);
    }
    return [{ path: term.path, keys: [...keys] }];
  });
}

/** Few values are better than many; true, false and null are what many documents have. */
const COMMON_KEY_COST = 1000;

function cost({ keys }: EqualityTerm): number {
  const common = keys.filter((key) => key === null || typeof key === "boolean").length;
  return keys.length + common * COMMON_KEY_COST;
}

function nameOf({ path }: EqualityTerm): string {
  return path.join(".");
}
