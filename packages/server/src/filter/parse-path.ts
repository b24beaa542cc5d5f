import type { FieldPath } from "./field-path.ts";
import { tooLarge } from "./parse-context.ts";
import type { ParsePlace } from "./parse-context.ts";

/** Names with a dollar that documents have: those of MongoDB's references. */
const DOLLAR_NAMES: ReadonlySet<string> = new Set(["$ref", "$id", "$db"]);

/**
 * The names of a path such as `author.name`.
 *
 * @throws {RealtimeError} `invalid_filter`, `filter_too_large`.
 */
export function parsePath(text: string, place: ParsePlace): FieldPath {
  const names = text.split(".");
  const { maxDepth } = place.budget.limits;
  // What lies in arrays of arrays is looked for along each way, so the length is bounded.
  if (names.length > maxDepth) {
    throw tooLarge(
      `${place.text} is a path of more than ${String(maxDepth)} names. Filter on a field further out.`,
    );
  }
  for (const name of names) {
    if (name === "")
      throw place.invalid("is a path with an empty name. Write names with one dot between them.");
    if (name.startsWith("$") && !DOLLAR_NAMES.has(name)) {
      throw place.invalid('has an operator in its path. Write it inside: {"priority":{"$gte":3}}.');
    }
  }
  return names;
}
