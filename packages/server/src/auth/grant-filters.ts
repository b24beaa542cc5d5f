import { RealtimeError } from "@paperdb/protocol";
import type { Filter } from "../filter/filter.ts";
import type { FilterLimits } from "../filter/filter-limits.ts";
import { parseFilter } from "../filter/parse-filter.ts";

/** Which documents may be seen, by collection; of a collection that is not named, all. */
export type GrantFilters = ReadonlyMap<string, Filter>;

/** All documents of all collections. */
export const NO_FILTERS: GrantFilters = new Map();

/** What was validated when it was made may be as large as it is: a limit that is lowered later voids no key. */
const STORED_LIMITS: FilterLimits = { maxBytes: 1_048_576, maxTerms: 100_000, maxDepth: 100 };

const PLAIN_NAME = /^[\w$.-]{1,60}$/;
const MAX_NAME_LENGTH = 60;

/**
 * Reads `{"collection": filter}`. A filter is an object here, never its text.
 *
 * @param origin - what people know it by, such as `filters`; sentences begin with it.
 * @throws {RealtimeError} `invalid_filter`, `filter_too_large`.
 */
export function parseGrantFilters(value: unknown, origin: string, limits: FilterLimits): GrantFilters {
  if (!isObject(value)) {
    throw new RealtimeError(
      "invalid_filter",
      `${origin} is not an object of filters by collection. Write one such as {"todos":{"owner":"ada"}}.`,
    );
  }
  // Names of any kind are collections here, also `__proto__`.
  const named = Object.entries(value).map(([collection, filter]): readonly [string, Filter] => {
    const place = placeOf(origin, collection);
    if (typeof filter !== "string") return [collection, parseFilter(filter, place, limits)];
    throw new RealtimeError("invalid_filter", `${place} is text. Write the filter itself, an object.`);
  });
  return new Map(named.filter(([, filter]) => !filter.isEmpty));
}

/** What was stored or signed by a server; undefined where it cannot be read, and nothing may be seen. */
export function readGrantFilters(value: unknown): GrantFilters | undefined {
  if (value === undefined || value === null) return NO_FILTERS;
  try {
    return parseGrantFilters(value, "filters", STORED_LIMITS);
  } catch (error) {
    if (error instanceof RealtimeError) return undefined;
    throw error;
  }
}

/** What both let be seen. */
export function intersectFilters(one: GrantFilters, other: GrantFilters): GrantFilters {
  const both = new Map(one);
  for (const [collection, filter] of other) {
    const first = both.get(collection);
    both.set(collection, first === undefined ? filter : first.and(filter));
  }
  return both;
}

/** Whether both let the same be seen, as far as their ids tell. */
export function areSameFilters(one: GrantFilters, other: GrantFilters): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([collection, { id }]) => other.get(collection)?.id === id);
}

/** What filters of a request are checked against. */
export interface FilterCheck {
  /** What people know them by. */
  readonly origin: string;
  /** Those that are granted; undefined: all. */
  readonly collections: readonly string[] | undefined;
  readonly limits: FilterLimits;
}

/**
 * Checks what a key or a token is asked to be limited to.
 *
 * @returns the value, to be stored or signed; undefined for none.
 * @throws {RealtimeError} `invalid_filter`, `filter_too_large`; `invalid_request` when a filter is for a
 *   collection that is not granted: it is a slip, and may have been meant to hold somebody back.
 */
export function checkFilters(
  value: unknown,
  { origin, collections, limits }: FilterCheck,
): object | undefined {
  if (value === undefined) return undefined;
  parseGrantFilters(value, origin, limits);
  if (!isObject(value)) return undefined;
  const stray = Object.keys(value).find((name) => collections?.includes(name) === false);
  if (stray === undefined) return value;
  throw new RealtimeError(
    "invalid_request",
    `${placeOf(origin, stray)} is for a collection that "collections" does not name: name it there, or leave the filter out.`,
  );
}

function placeOf(origin: string, collection: string): string {
  if (PLAIN_NAME.test(collection)) return `${origin}.${collection}`;
  return `${origin}[${JSON.stringify(collection.slice(0, MAX_NAME_LENGTH))}]`;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
