import type { JsonValue } from "./json-value.ts";
import type { ParsePlace } from "./parse-context.ts";

/** Where `JSON.stringify` begins to write an exponent, which makes a number of any size deliverable. */
const FIRST_WITH_EXPONENT = 1e21;

/**
 * A value that documents are compared with, as a copy in canonical form: members sorted,
 * no negative zero.
 *
 * @throws {RealtimeError} `invalid_filter`, `filter_too_large`.
 */
export function parseValue(value: unknown, place: ParsePlace): JsonValue {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return parseNumber(value, place);
    case "object":
      if (value === null) return null;
      return Array.isArray(value)
        ? parseElements(value, place.inside())
        : parseMembers(value, place.inside());
    case "bigint":
    case "function":
    case "symbol":
    case "undefined":
      throw place.invalid("is not a JSON value. Compare with a string, a number, true, false or null.");
  }
}

/** A bound of `$gt` and its like. */
export function parseBound(value: unknown, place: ParsePlace): string | number {
  if (typeof value === "string") return value;
  if (typeof value === "number") return parseNumber(value, place);
  throw place.invalid("takes a number or a string. For other values use $eq, $ne or $exists.");
}

function parseNumber(value: number, place: ParsePlace): number {
  if (!Number.isFinite(value)) {
    throw place.invalid(
      'is not a number that JSON has. NaN and infinity are delivered as strings: write "NaN".',
    );
  }
  const size = Math.abs(value);
  if (size > Number.MAX_SAFE_INTEGER && size < FIRST_WITH_EXPONENT) {
    throw place.invalid(
      "is beyond ±9007199254740991, where JSON numbers are not exact and integers are delivered as strings: write it as a string.",
    );
  }
  return value === 0 ? 0 : value;
}

function parseElements(elements: readonly unknown[], place: ParsePlace): JsonValue {
  return elements.map((element, index) => parseValue(element, place.element(index)));
}

function parseMembers(object: object, place: ParsePlace): JsonValue {
  if (!isPlainObject(object)) throw place.invalid("is not a JSON value. Write a plain object, or its text.");
  const members = Object.entries(object).map(([name, value]) => {
    const inner = place.member(name);
    if (name.startsWith("$")) {
      throw inner.invalid(
        'is an operator inside a value that is compared as a whole. To compare a nested field, write its path: {"a.b":{"$gte":3}}.',
      );
    }
    return [name, parseValue(value, inner)] as const;
  });
  // Whatever a member is called, it becomes an own property.
  return Object.fromEntries(members.toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

/** Whether it is an object as JSON has it. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
