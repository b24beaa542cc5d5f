import { RealtimeError } from "@paperdb/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { naiveMatch, rawFilters, WIDE_LIMITS } from "../../../../tests/support/filters.ts";
import type { RawFilter } from "../../../../tests/support/filters.ts";
import type { JsonScalar, JsonValue } from "./json-value.ts";
import { parseFilter } from "./parse-filter.ts";

// Few names and few values, so that filters meet what they ask for.
const names = fc.constantFrom("a", "b", "0", "1", "__proto__");
const scalars = fc.oneof(
  fc.constantFrom<JsonScalar[]>(0, 1, 2, -1, 1.5, "", "a", "b", "1", true, false, null),
  fc.string({ unit: "binary", maxLength: 2 }),
);
const { value: values } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    { arbitrary: scalars, weight: 3 },
    { arbitrary: fc.array(tie("value"), { maxLength: 3 }), weight: 2 },
    { arbitrary: fc.dictionary(names, tie("value"), { maxKeys: 3, noNullPrototype: true }), weight: 2 },
  ),
}));
const operands = fc.oneof(
  scalars,
  scalars,
  fc.constantFrom<JsonValue[]>([], {}, [1], { a: 1 }, { b: null, a: [1] }, [[1]]),
);
const filters = rawFilters({
  paths: fc.oneof(
    { arbitrary: names, weight: 3 },
    { arbitrary: fc.array(names, { minLength: 2, maxLength: 3 }).map((path) => path.join(".")), weight: 2 },
  ),
  values: operands,
  bounds: fc.constantFrom<(string | number)[]>(0, 1, 1.5, "", "a", "b"),
});
const documents = fc
  .dictionary(names, values, { minKeys: 1, maxKeys: 4, noNullPrototype: true })
  .map((document) => JSON.parse(JSON.stringify(document)) as JsonValue);
const smallValues = fc.constantFrom<JsonValue[]>(1, null, [1], [null, 1], { b: 1 }, [{ b: 1 }, {}], []);
const smallDocuments = fc.record({ a: smallValues, b: smallValues }, { requiredKeys: [] });
const runs = { numRuns: 2000 };

it("matches what a plain reading of the language matches", () => {
  let matching = 0;
  fc.assert(
    fc.property(filters, documents, (raw, document) => {
      const expected = naiveMatch(raw, document);
      if (expected) matching++;
      expect(parseFilter(JSON.stringify(raw), "where", WIDE_LIMITS).matches(document)).toBe(expected);
      expect(parseFilter(raw, "where", WIDE_LIMITS).matches(document)).toBe(expected);
    }),
    runs,
  );
  expect(matching).toBeGreaterThan(runs.numRuns / 10);
  expect(matching).toBeLessThan((runs.numRuns * 9) / 10);
});

it("means the same wherever the id is the same", () => {
  const simple = fc.constantFrom<RawFilter[]>(
    { a: 1 },
    { a: null },
    { a: { $ne: 1 } },
    { a: { $gt: 0 } },
    { a: { $not: { $gt: 0 } } },
    { "a.b": 1 },
  );
  const pairs = fc
    .tuple(fc.constantFrom("$and", "$or"), fc.array(simple, { minLength: 1, maxLength: 2 }))
    .map(([name, list]): RawFilter => Object.fromEntries([[name, list]]));
  let same = 0;
  fc.assert(
    fc.property(pairs, pairs, fc.array(smallDocuments, { minLength: 5 }), (one, other, all) => {
      if (parseFilter(one, "where").id !== parseFilter(other, "where").id) return;
      same++;
      for (const document of all) expect(naiveMatch(one, document)).toBe(naiveMatch(other, document));
    }),
    runs,
  );
  expect(same).toBeGreaterThan(20);
});

it("has one id however it is written", () => {
  fc.assert(
    fc.property(filters, fc.nat(), (raw, seed) => {
      const { id } = parseFilter(raw, "where", WIDE_LIMITS);
      expect(parseFilter(rewritten(raw, seed), "where", WIDE_LIMITS).id).toBe(id);
    }),
    { numRuns: 1000 },
  );
});

it("and-s as both match", () => {
  fc.assert(
    fc.property(filters, filters, documents, (one, other, document) => {
      const both = parseFilter(one, "where", WIDE_LIMITS).and(parseFilter(other, "filters", WIDE_LIMITS));
      expect(both.matches(document)).toBe(naiveMatch(one, document) && naiveMatch(other, document));
      expect(both.id).toBe(parseFilter({ $and: [other, one] }, "where", WIDE_LIMITS).id);
    }),
    { numRuns: 1000 },
  );
});

it("throws nothing but its errors, whatever it is given", () => {
  const keys = fc.oneof(
    names,
    fc.constantFrom("$and", "$or", "$not", "$eq", "$in", "$gt", "$exists", "$x", "", "a.b", "constructor"),
  );
  const { any } = fc.letrec<{ any: unknown }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 6 },
      fc.jsonValue(),
      fc.array(tie("any"), { maxLength: 4 }),
      fc.dictionary(keys, tie("any"), { maxKeys: 4 }),
    ),
  }));
  const outcomes = { accepted: 0, refused: 0 };
  const attempt = (input: unknown): void => {
    try {
      parseFilter(input, "where").matches({ a: [{ b: 1 }] });
      outcomes.accepted++;
    } catch (error) {
      expect(error).toBeInstanceOf(RealtimeError);
      expect((error as RealtimeError).message).toMatch(/^where[ .[]/);
      outcomes.refused++;
    }
  };
  fc.assert(
    fc.property(any, (input) => {
      attempt(input);
      attempt(JSON.stringify(input));
    }),
    { numRuns: 1500 },
  );
  fc.assert(fc.property(fc.anything(), attempt), { numRuns: 1000 });
  fc.assert(fc.property(fc.string(), attempt), { numRuns: 500 });
  expect(outcomes.accepted).toBeGreaterThan(50);
  expect(outcomes.refused).toBeGreaterThan(100);
});

/** The same filter, its conditions in another order and spelled in another way. */
function rewritten(raw: RawFilter, seed: number): RawFilter {
  const entries = Object.entries(raw).map(([name, operand]): RawFilter => {
    if (name === "$and" || name === "$or") {
      const inner = (operand as RawFilter[]).map((one) => rewritten(one, seed >> 1)).toReversed();
      return Object.fromEntries([[name, seed % 2 === 0 ? inner : [...inner, ...inner]]]);
    }
    const isValue =
      typeof operand !== "object" || !Object.keys(operand ?? {}).some((key) => key.startsWith("$"));
    if (isValue)
      return Object.fromEntries([[name, seed % 3 === 0 ? { $eq: operand } : { $in: [operand, operand] }]]);
    return Object.fromEntries([[name, Object.fromEntries(Object.entries(operand ?? {}).toReversed())]]);
  });
  if (seed % 5 === 0) return { $and: entries.toReversed() };
  return Object.fromEntries(entries.toReversed().flatMap((entry) => Object.entries(entry)));
}
