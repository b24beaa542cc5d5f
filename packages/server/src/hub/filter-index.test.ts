import fc from "fast-check";
import { expect, it } from "vitest";
import { rawFilters, WIDE_LIMITS } from "../../../../tests/support/filters.ts";
import type { JsonValue } from "../filter/json-value.ts";
import { parseFilter } from "../filter/parse-filter.ts";
import type { SourceEvent } from "../source/change-source.ts";
import { documentFilter } from "./document-filter.ts";
import { ParsedDocuments } from "./event-documents.ts";
import { FilterIndex } from "./filter-index.ts";
import type { Filtered } from "./path-index.ts";

// Few names and few values, so that filters meet what they ask for.
const scalars = fc.constantFrom<JsonValue[]>(0, 1, "", "a", "1", true, null);
const names = fc.constantFrom("a", "b", "0", "length", "__proto__");
const { value: values } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { arbitrary: scalars, weight: 3 },
    { arbitrary: fc.array(tie("value"), { maxLength: 3 }), weight: 2 },
    { arbitrary: fc.dictionary(names, tie("value"), { maxKeys: 2, noNullPrototype: true }), weight: 2 },
  ),
}));
const documents = fc
  .dictionary(names, values, { maxKeys: 3, noNullPrototype: true })
  .map((document) => JSON.stringify(document));
const filters = rawFilters({
  paths: fc.oneof(
    { arbitrary: names, weight: 3 },
    { arbitrary: fc.array(names, { minLength: 2, maxLength: 3 }).map((path) => path.join(".")), weight: 1 },
  ),
  values: fc.oneof(scalars, scalars, fc.constantFrom<JsonValue[]>([], {}, [1])),
  bounds: fc.constantFrom<(string | number)[]>(0, ""),
});
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 3 });
const events = fc
  .record({
    type: fc.constantFrom("insert", "update", "replace", "delete"),
    documentId: fc.constant("1"),
    document: documents,
    prior: optional(documents),
    hidden: optional(documents),
    priorHidden: optional(documents),
  })
  .map((body): SourceEvent => ({
    channel: { tenant: "t", collection: "c" },
    position: "1",
    committedAtMs: undefined,
    body: JSON.parse(JSON.stringify(body)) as SourceEvent["body"],
  }));

it("finds each filter that sees an event, whatever the filters and the documents (property)", () => {
  const pairs = fc.array(fc.tuple(optional(filters), optional(filters)), { minLength: 1, maxLength: 5 });
  const counts = { seen: 0, spared: 0 };
  fc.assert(
    fc.property(pairs, fc.array(events, { minLength: 3, maxLength: 6 }), (asked, told) => {
      const index = new FilterIndex<Filtered>();
      const views = asked.map(([wanted, granted]) => {
        const conditions = [wanted, granted].map((raw) =>
          raw === undefined ? undefined : parseFilter(raw, "where", WIDE_LIMITS),
        );
        return { filter: documentFilter(conditions[0], conditions[1]) };
      });
      for (const view of views) index.add(view);
      for (const event of told) {
        const parsed = new ParsedDocuments(event);
        const found = new Set<Filtered>();
        index.visitCandidates(parsed, (view) => found.add(view));
        for (const view of views) {
          const isSeen = view.filter?.sees(event, new ParsedDocuments(event)) !== "nothing";
          if (isSeen) {
            counts.seen++;
            expect(found.has(view)).toBe(true);
          } else if (!found.has(view)) counts.spared++;
        }
      }
      for (const view of views) index.delete(view);
      expect(index.size).toBe(0);
      for (const event of told) {
        index.visitCandidates(new ParsedDocuments(event), () => expect.unreachable());
      }
    }),
    { numRuns: 600 },
  );
  expect(counts.seen).toBeGreaterThan(300);
  expect(counts.spared).toBeGreaterThan(300);
});
