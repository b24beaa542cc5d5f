import { describe, expect, it } from "vitest";
import type { JsonValue } from "./json-value.ts";
import { parseFilter } from "./parse-filter.ts";

const matches = (where: unknown, document: JsonValue): boolean =>
  parseFilter(JSON.stringify(where), "where").matches(document);

/** A filter, documents that match, documents that do not. */
type Row = readonly [where: unknown, matching: readonly JsonValue[], others: readonly JsonValue[]];

const LONE_MEMBER = "\uFFFF";
const ASTRAL = "😀";

describe("matches", () => {
  it.each<Row>([
    [{}, [{}, { a: 1 }], []],
    [{ a: 1 }, [{ a: 1 }, { a: [2, 1] }], [{}, { a: "1" }, { a: [[1]] }, { b: 1 }, { a: true }, { a: null }]],
    [{ a: "x" }, [{ a: "x" }], [{ a: "X" }, { a: "x " }]],
    [{ a: 1, b: 2 }, [{ a: 1, b: 2 }], [{ a: 1 }, { b: 2 }]],
    [{ a: 0 }, [{ a: 0 }, { a: -0 }], [{ a: null }, { a: false }, { a: "" }, {}]],
    [{ a: true }, [{ a: true }], [{ a: 1 }, { a: "true" }]],
    [{ a: null }, [{ a: null }, {}, { a: [1, null] }], [{ a: 0 }, { a: "" }, { a: [] }, { a: {} }]],
    [{ a: { $ne: null } }, [{ a: 0 }, { a: [] }], [{}, { a: null }, { a: [1, null] }]],
    [{ a: { $ne: 1 } }, [{}, { a: 2 }, { a: null }, { a: [2, 3] }], [{ a: 1 }, { a: [2, 1] }]],
    [{ a: { $in: [1, "x", null] } }, [{ a: 1 }, { a: "x" }, {}, { a: [5, "x"] }], [{ a: 2 }, { a: [] }]],
    [{ a: { $in: [] } }, [], [{ a: 1 }, { a: [] }, { a: null }, {}]],
    [{ a: { $nin: [] } }, [{ a: 1 }, { a: [] }, {}], []],
    [{ $or: [{ a: { $in: [] } }, { b: 1 }] }, [{ b: 1 }], [{ a: [] }, {}]],
    [{ a: { $nin: [1, null] } }, [{ a: 2 }, { a: [] }], [{ a: 1 }, {}, { a: [1, 2] }]],
    [
      { a: { $in: [[1], { b: 1 }] } },
      [{ a: [1] }, { a: { b: 1 } }, { a: [{ b: 1 }] }],
      [{ a: 1 }, { a: {} }],
    ],
    [
      { a: { $gt: 3 } },
      [{ a: 4 }, { a: [1, 5] }],
      [{ a: 3 }, { a: "4" }, { a: null }, {}, { a: [] }, { a: true }],
    ],
    [{ a: { $gte: 3 } }, [{ a: 3 }, { a: 3.5 }], [{ a: 2.9 }]],
    [{ a: { $lt: 3 } }, [{ a: 2 }], [{ a: 3 }, { a: "1" }, {}, { a: null }]],
    [{ a: { $lte: 3 } }, [{ a: 3 }, { a: -1e300 }], [{ a: 3.1 }]],
    [{ a: { $gt: 1, $lt: 5 } }, [{ a: 3 }, { a: [0, 9] }], [{ a: 1 }, { a: 5 }, { a: [0] }]],
    [{ a: { $gt: "b" } }, [{ a: "c" }, { a: "ba" }, { a: "é" }], [{ a: "b" }, { a: "B" }, { a: 9 }]],
    [{ a: { $gt: LONE_MEMBER } }, [{ a: ASTRAL }], [{ a: LONE_MEMBER }, { a: "\uE000" }]],
    [{ a: { $lt: ASTRAL } }, [{ a: LONE_MEMBER }, { a: "\uE000" }], [{ a: ASTRAL }, { a: `${ASTRAL}a` }]],
    [{ a: { $gte: "2026-01-02" } }, [{ a: "2026-01-02T03:04:05" }], [{ a: "2026-01-01T23:59:59.999" }]],
    [{ a: { $exists: true } }, [{ a: null }, { a: [] }, { a: 0 }], [{}]],
    [{ a: { $exists: false } }, [{}, { b: 1 }], [{ a: null }]],
    [{ a: { $not: { $gt: 3 } } }, [{ a: 3 }, {}, { a: "x" }, { a: [1, 2] }], [{ a: 4 }, { a: [1, 4] }]],
    [{ a: { $not: { $not: { $gt: 3 } } } }, [{ a: 4 }], [{ a: 3 }, {}]],
    [{ a: { $not: { $gt: 1, $lt: 5 } } }, [{ a: 1 }, { a: 9 }], [{ a: 3 }, { a: [0, 9] }]],
    [{ $or: [{ a: 1 }, { b: { $gt: 2 } }] }, [{ a: 1 }, { b: 3 }], [{ a: 2, b: 2 }, {}]],
    [{ $and: [{ a: 1 }, { a: 2 }] }, [{ a: [1, 2] }], [{ a: 1 }]],
    [{ $or: [{ a: 1 }, {}] }, [{}], []],
    [
      { a: { b: 1 } },
      [{ a: { b: 1 } }, { a: [{ b: 1 }] }],
      [{ a: { b: 1, c: 2 } }, { a: { b: [1] } }, { a: {} }],
    ],
    [{ a: { b: 1, c: [2] } }, [{ a: { c: [2], b: 1 } }], [{ a: { b: 1, c: 2 } }]],
    [{ a: {} }, [{ a: {} }], [{}, { a: { b: 1 } }, { a: [] }]],
    [{ a: [1, 2] }, [{ a: [1, 2] }, { a: [[1, 2]] }], [{ a: [2, 1] }, { a: [1] }, { a: 1 }]],
    [{ a: [] }, [{ a: [] }, { a: [[]] }], [{}, { a: [1] }, { a: {} }]],
    [{ a: { b: null } }, [{ a: { b: null } }], [{ a: {} }]],
  ])("%j", (where, matching, others) => {
    expect(matching.filter((document) => !matches(where, document))).toEqual([]);
    expect(others.filter((document) => matches(where, document))).toEqual([]);
  });
});

describe("paths", () => {
  it.each<Row>([
    [
      { "a.b": 1 },
      [{ a: { b: 1 } }, { a: [{ b: 1 }] }, { a: [{ c: 1 }, { b: [2, 1] }] }],
      [{ "a.b": 1 }, { a: 1 }, { a: [[{ b: 1 }]] }, { a: { b: { c: 1 } } }],
    ],
    [
      { "a.b": null },
      [{}, { a: 5 }, { a: {} }, { a: null }, { a: [{ b: 1 }, {}] }],
      [{ a: [] }, { a: [1] }, { a: { b: 1 } }],
    ],
    [{ "a.b": { $exists: false } }, [{}, { a: [] }, { a: [1] }, { a: [{}] }], [{ a: [{}, { b: null }] }]],
    [{ "a.b": { $ne: 1 } }, [{ a: [] }, { a: [{ b: 2 }] }], [{ a: [{ b: 2 }, { b: 1 }] }]],
    [
      { "a.0": 1 },
      [{ a: [1, 2] }, { a: { 0: 1 } }, { a: [{ 0: 1 }] }],
      [{ a: [2, 1] }, { a: [[1]] }, { a: "1" }],
    ],
    [{ "a.0": [1] }, [{ a: [[1]] }], [{ a: [1] }]],
    [
      { "a.1.b": 1 },
      [{ a: [{}, { b: 1 }] }, { a: [0, [{ b: 1 }]] }, { a: [{ 1: { b: 1 } }] }],
      [{ a: [{ b: 1 }] }],
    ],
    [{ "a.0.1": 5 }, [{ a: [[4, 5]] }, { a: [{ 1: 5 }] }], [{ a: [[5, 4]] }]],
    [{ "a.00": 1 }, [{ a: { "00": 1 } }], [{ a: [1] }]],
    [{ "a.length": 1 }, [{ a: { length: 1 } }], [{ a: [7] }, { a: "x" }]],
    [{ "a.b.c": { $gt: 2 } }, [{ a: [{ b: [{ c: 1 }, { c: 3 }] }] }], [{ a: [{ b: [{ c: 1 }] }] }]],
  ])("%j", (where, matching, others) => {
    expect(matching.filter((document) => !matches(where, document))).toEqual([]);
    expect(others.filter((document) => matches(where, document))).toEqual([]);
  });
});

describe("names that every object inherits", () => {
  it.each(["__proto__", "constructor", "toString", "hasOwnProperty", "a.__proto__", "a.constructor.name"])(
    "%s is a field like any other",
    (name) => {
      const exists = parseFilter(`{"${name}":{"$exists":true}}`, "where");
      expect(exists.matches({ a: {} })).toBe(false);
      const nested = name.split(".").reduceRight<string>((inner, part) => `{"${part}":${inner}}`, "1");
      const document = JSON.parse(nested) as JsonValue;
      expect(exists.matches(document)).toBe(true);
      expect(parseFilter(`{"${name}":1}`, "where").matches(document)).toBe(true);
      expect(parseFilter(`{"${name}":2}`, "where").matches(document)).toBe(false);
    },
  );

  it("compares a member __proto__ in a value, too", () => {
    const filter = parseFilter('{"a":{"__proto__":{"b":1}}}', "where");
    expect(filter.matches(JSON.parse('{"a":{"__proto__":{"b":1}}}') as JsonValue)).toBe(true);
    expect(filter.matches({ a: {} })).toBe(false);
    expect(parseFilter('{"a":{}}', "where").matches(JSON.parse('{"a":{"__proto__":{}}}') as JsonValue)).toBe(
      false,
    );
    expect(Object.hasOwn(Object.prototype, "b")).toBe(false);
  });
});

describe("id", () => {
  it.each([
    ['{"a":1,"b":2}', '{"b":2,"a":1}'],
    ['{"a":1}', '{"a":{"$eq":1}}'],
    ['{"a":1}', '{"a":{"$in":[1]}}'],
    ['{"a":1}', '{"$and":[{"a":1}]}'],
    ['{"a":1}', '{"$or":[{"a":1},{"a":1}]}'],
    ['{"a":0}', '{"a":-0.0}'],
    ['{"a":100}', '{"a":1e2}'],
    ['{"a":{"$ne":1}}', '{"a":{"$not":{"$eq":1}}}'],
    ['{"a":{"$ne":1}}', '{"a":{"$nin":[1]}}'],
    ['{"a":{"$not":{"$not":{"$gt":1}}}}', '{"a":{"$gt":1}}'],
    ['{"a":{"$in":[1,2,1]}}', '{"a":{"$in":[2,1]}}'],
    ['{"$or":[{"a":1},{"a":2}]}', '{"a":{"$in":[2,1]}}'],
    ['{"$and":[{"a":1},{"$and":[{"b":2},{"c":3}]}]}', '{"c":3,"b":2,"a":1}'],
    ['{"a":{"$gt":1,"$lt":5}}', '{"$and":[{"a":{"$lt":5}},{"a":{"$gt":1}}]}'],
    ['{"a":{"x":1,"y":2}}', '{"a":{"y":2,"x":1}}'],
    ['{"a":"\\u0041"}', '{"a":"A"}'],
    ["{}", '{"$and":[{}]}'],
    ['{"a":{"$exists":false}}', '{"a":{"$not":{"$exists":true}}}'],
  ])("is the same for %s and %s", (one, other) => {
    expect(parseFilter(one, "where").id).toBe(parseFilter(other, "filters.todos").id);
  });

  it.each([
    ['{"a":1}', '{"a":"1"}'],
    ['{"a":1}', '{"a":[1]}'],
    ['{"a":null}', '{"a":{"$exists":false}}'],
    ['{"a":{"$gt":1}}', '{"a":{"$gte":1}}'],
    ['{"a.b":1}', '{"a":{"b":1}}'],
    ['{"$or":[{"a":1},{"b":1}]}', '{"a":1,"b":1}'],
    ['{"a":{"$not":{"$gt":1}}}', '{"a":{"$lte":1}}'],
    ['{"a":[1,2]}', '{"a":[2,1]}'],
    ['{"a":[1,2]}', '{"a":{"$in":[1,2]}}'],
  ])("is another for %s and %s", (one, other) => {
    expect(parseFilter(one, "where").id).not.toBe(parseFilter(other, "where").id);
  });

  it("is the same however filters were put together", () => {
    const [a, b, both] = ['{"a":1}', '{"b":2}', '{"a":1,"b":2}'].map((text) => parseFilter(text, "where"));
    expect(a?.and(b ?? a).id).toBe(both?.id);
    expect(b?.and(a ?? b).and(b).id).toBe(both?.id);
    expect(a?.and(parseFilter({}, "where")).id).toBe(a?.id);
  });
});

describe("terms", () => {
  const terms = (where: unknown): readonly (readonly [string, readonly unknown[]])[] =>
    parseFilter(where, "where").terms.map(({ path, keys }) => [path.join("."), keys]);

  it("are the equalities, the most selective first", () => {
    expect(terms({ done: false, n: { $gt: 1 }, status: { $in: ["a", "b"] }, "author.id": 7 })).toEqual([
      ["author.id", [7]],
      ["status", ["a", "b"]],
      ["done", [false]],
    ]);
    expect(terms({ parent: null, room: "42" })).toEqual([
      ["room", ["42"]],
      ["parent", [null]],
    ]);
  });

  it("of alternatives are those that each has", () => {
    expect(
      terms({
        $or: [{ room: "1", x: 1 }, { room: "2", x: { $gt: 5 } }, { $and: [{ room: "3" }, { y: 1 }] }],
      }),
    ).toEqual([["room", ["1", "2", "3"]]]);
    expect(terms({ $or: [{ room: "1" }, { y: 1 }] })).toEqual([]);
  });

  it("are none without equality to scalars", () => {
    expect(terms({})).toEqual([]);
    // Nothing is found by no value.
    expect(terms({ b: 1, a: { $in: [] }, c: { $gt: 1 } })[0]).toEqual(["a", []]);
    expect(terms({ a: { $ne: 1 }, b: { $not: { $eq: 1 } }, c: { d: 1 }, e: { $exists: true } })).toEqual([]);
    expect(terms({ a: { $in: [1, [2]] } })).toEqual([]);
  });
});
