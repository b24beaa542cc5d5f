import type { EventDocuments, FilterTerm, Scalar } from "./delivery.ts";

/**
 * What an event's document has at a term's path, now and before: at least all that an
 * equality on that path may be true of. A step goes into each element of an
 * array as well as to the one that it numbers.
 */
export function valuesAt(
  documents: EventDocuments,
  { path, withHidden = false }: Pick<FilterTerm, "path" | "withHidden">,
): Set<Scalar> {
  const values = new Set<Scalar>();
  const current = withHidden ? documents.currentWithHidden : documents.current;
  if (current !== undefined) collect(current, path, 0, values);
  const prior = withHidden ? documents.priorWithHidden : documents.prior;
  if (prior !== undefined) collect(prior, path, 0, values);
  return values;
}

function collect(value: unknown, path: readonly string[], depth: number, values: Set<Scalar>): void {
  const step = path[depth];
  if (!Array.isArray(value)) {
    collectOfOne(value, path, depth, values);
    return;
  }
  if (step !== undefined && Object.hasOwn(value, step))
    collect(Reflect.get(value, step), path, depth + 1, values);
  for (const element of value) {
    if (!Array.isArray(element)) collectOfOne(element, path, depth, values);
  }
  // An array in which nothing is found may count as one in which it is missing.
  values.add(null);
}

/** Of a value that is no array. */
function collectOfOne(value: unknown, path: readonly string[], depth: number, values: Set<Scalar>): void {
  const step = path[depth];
  if (step === undefined) {
    if (isScalar(value)) values.add(value);
  } else if (typeof value === "object" && value !== null && Object.hasOwn(value, step)) {
    collect(Reflect.get(value, step), path, depth + 1, values);
  } else {
    values.add(null);
  }
}

function isScalar(value: unknown): value is Scalar {
  return value === null || typeof value !== "object";
}
