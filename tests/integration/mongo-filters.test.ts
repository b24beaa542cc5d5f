import fc from "fast-check";
import {
  Binary,
  Code,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
  UUID,
} from "mongodb";
import type { Document } from "mongodb";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { parseFilter } from "../../packages/server/src/filter/parse-filter.ts";
import { toMongo } from "../../packages/server/src/filter/to-mongo.ts";
import { bsonJson } from "../../packages/server/src/source/mongodb/bson-json.ts";
import { storedForms } from "../../packages/server/src/source/mongodb/stored-forms.ts";
import { rawFilters, WIDE_LIMITS } from "../support/filters.ts";
import { createMongoDatabase } from "../support/mongo.ts";
import type { TestMongoDatabase } from "../support/mongo.ts";

/** Values of all types, those among them that become the same JSON as others. */
const VALUES: readonly unknown[] = [
  "open",
  "64b7f0c2a1b2c3d4e5f60718",
  new ObjectId("64b7f0c2a1b2c3d4e5f60718"),
  "2026-01-02T03:04:05.000Z",
  new Date("2026-01-02T03:04:05.000Z"),
  new UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
  "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
  new Binary(Buffer.from("a29e9e", "hex")),
  "op6e",
  new Binary(Buffer.from("open", "base64"), 128),
  new Int32(7),
  new Double(7),
  Long.fromNumber(7),
  Decimal128.fromString("7.0"),
  new Double(0.1),
  Decimal128.fromString("0.1"),
  Decimal128.fromString("0.1000000000000000055"),
  "0.1000000000000000055",
  Long.fromString("9007199254740993"),
  "9007199254740993",
  new Double(Number.NaN),
  "NaN",
  new Double(Number.NEGATIVE_INFINITY),
  Decimal128.fromString("Infinity"),
  new Double(-0),
  true,
  false,
  null,
  new MinKey(),
  "MaxKey",
  new MaxKey(),
  new Code("open"),
  new Timestamp({ t: 7, i: 1 }),
  /open/i,
  [new Int32(7), "open", null],
  [],
  [[new Int32(7)]],
  [{ b: "open" }, { b: new Int32(7) }],
  { b: new ObjectId("64b7f0c2a1b2c3d4e5f60718"), t: new Int32(7) },
  { b: [true, { b: null }] },
  {},
];

let database: TestMongoDatabase;
let documents: readonly JsonObject[];

beforeAll(async () => {
  database = await createMongoDatabase();
  const stored = VALUES.map((value, index): Document => {
    const document = { _id: index, a: value, c: VALUES[(index * 7 + 3) % VALUES.length] };
    return index % 11 === 5 ? { _id: index, c: value } : document;
  });
  await database.insert("things", ...stored);
  const raw = await database.db
    .collection("things")
    .find({}, { promoteValues: false, sort: { _id: 1 } })
    .toArray();
  documents = raw.map((document) => JSON.parse(bsonJson(document)) as JsonObject);
});

afterAll(() => database.drop());

async function found(query: Document): Promise<readonly number[]> {
  const ids = await database.db
    .collection<{ _id: number }>("things")
    .find(query, { projection: { _id: 1 } })
    .toArray();
  return ids.map(({ _id }) => _id).toSorted((left, right) => left - right);
}

function matching(where: unknown): readonly number[] {
  const filter = parseFilter(where, "where", WIDE_LIMITS);
  return [...documents.keys()].filter((index) => filter.matches(documents[index] ?? {}));
}

const query = (where: unknown): Document | undefined =>
  toMongo(parseFilter(where, "where", WIDE_LIMITS), storedForms);

function scalarsIn(value: JsonValue | undefined): readonly (string | number | boolean)[] {
  if (value === null || value === undefined) return [];
  return typeof value === "object" ? Object.values(value).flatMap(scalarsIn) : [value];
}

it("finds each document by what is delivered of it", async () => {
  const values = new Set(documents.flatMap((document) => scalarsIn(document["a"])));
  expect(values.size).toBeGreaterThan(12);
  for (const value of values) {
    for (const condition of [value, { $in: [value, "closed"] }]) {
      const where = { a: condition };
      const narrowed = query(where) ?? {};
      expect(narrowed).not.toEqual({});
      expect({ where, found: await found(narrowed) }).toEqual({
        where,
        found: expect.arrayContaining([...matching(where)]),
      });
    }
  }
});

it("finds every document whose JSON matches, whatever the filter", async () => {
  const values = [...new Set(documents.flatMap((document) => scalarsIn(document["a"])))];
  const numbers = values.filter((value) => typeof value === "number");
  let narrowing = 0;
  await fc.assert(
    fc.asyncProperty(
      rawFilters({
        paths: fc.constantFrom("a", "c", "a.b", "c.b", "a.t", "a.0", "a.b.b", "missing"),
        values: fc.constantFrom<JsonValue[]>(...values, null, [], [7], {}),
        bounds: fc.constantFrom<(string | number)[]>(...numbers, 6.5, "open", "2026"),
      }),
      async (where) => {
        const narrowed = query(where);
        if (narrowed === undefined) return;
        const ids = await found(narrowed);
        if (ids.length < documents.length) narrowing++;
        expect(matching(where).filter((id) => !ids.includes(id))).toEqual([]);
      },
    ),
    { numRuns: 400 },
  );
  expect(narrowing).toBeGreaterThan(30);
});

// JSON types only, and no objects to compare with: MongoDB heeds the order of members.
const PLAIN_VALUES: readonly JsonValue[] = [1, 2, "a", "b", true, [1], [1, 2], [], [[1]], ["a", null]];

it.each<readonly [string, readonly string[], readonly JsonValue[]]>([
  ["fields", ["a", "c"], [...PLAIN_VALUES, null]],
  // What is missing in arrays is null to the stand-in in other places than to MongoDB.
  ["paths", ["a.b", "c.b", "a.0", "a.b.b", "a.1.b"], PLAIN_VALUES],
])("means what MongoDB means by the same filter on %s", async (name, paths, values) => {
  const nested: readonly JsonValue[] = [
    ...values,
    { b: 1 },
    { b: [1, 2] },
    { b: null },
    {},
    [{ b: 1 }, { b: "a" }],
    [{ b: 2 }, 1],
    [{}],
    { b: { b: 1 } },
    { b: [{ b: 1 }] },
  ];
  const written = nested.flatMap((a, index) => [
    { _id: index, a, c: nested[(index * 3 + 1) % nested.length] ?? null },
    { _id: 100 + index, c: a },
  ]);
  await database.insert(name, ...written);
  const collection = database.db.collection<{ _id: number }>(name);
  let matched = 0;
  await fc.assert(
    fc.asyncProperty(
      rawFilters({
        paths: fc.constantFrom(...paths),
        values: fc.constantFrom(...values),
        bounds: fc.constantFrom<(string | number)[]>(1, 1.5, "a", "aa"),
      }),
      async (where) => {
        const filter = parseFilter(where, "where", WIDE_LIMITS);
        const expected = written.filter((document) => filter.matches(document as unknown as JsonValue));
        const ids = await collection.find(where as Document, { projection: { _id: 1 } }).toArray();
        expect(new Set(ids.map(({ _id }) => _id))).toEqual(new Set(expected.map(({ _id }) => _id)));
        matched += ids.length;
      },
    ),
    { numRuns: 400 },
  );
  expect(matched).toBeGreaterThan(100);
});
