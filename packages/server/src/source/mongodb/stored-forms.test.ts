import { Binary, Code, Decimal128, Double, Long, MaxKey, MinKey, ObjectId, UUID } from "mongodb";
import { expect, it } from "vitest";
import { bsonJson } from "./bson-json.ts";
import { storedForms } from "./stored-forms.ts";

it.each<readonly [string | number | boolean, readonly unknown[]]>([
  [true, [true]],
  // As MongoDB compares them, a decimal 0.1 is not the double's 0.1000000000000000055….
  [0.1, [0.1, Decimal128.fromString("0.1")]],
  [7, [7, Decimal128.fromString("7")]],
  ["64b7f0c2a1b2c3d4e5f60718", [new ObjectId("64b7f0c2a1b2c3d4e5f60718")]],
  ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", [new UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")]],
  ["2026-01-02T03:04:05.000Z", [new Date("2026-01-02T03:04:05.000Z")]],
  ["9007199254740993", [Decimal128.fromString("9007199254740993")]],
  ["-Infinity", [Number.NEGATIVE_INFINITY, Decimal128.fromString("-Infinity")]],
  ["NaN", [Number.NaN, Decimal128.fromString("NaN")]],
  ["1.5E+400", [Decimal128.fromString("1.5E+400")]],
])("finds what is delivered as %j", (value, expected) => {
  expect(storedForms(value).values).toEqual(expect.arrayContaining([value, ...expected]));
});

it.each(["2026-99-99T03:04:05.000Z", "64B7F0C2A1B2C3D4E5F60718", "1".repeat(60), "someInfinity", "1e99999"])(
  "takes %s for no more than text and code",
  (text) => {
    expect(storedForms(text).values).toEqual([text, new Code(text)]);
  },
);

it.each<readonly [string, unknown]>([
  ["an ObjectId", new ObjectId()],
  ["a date", new Date()],
  ["a UUID", new UUID()],
  ["a long beyond doubles", Long.MAX_VALUE],
  ["a decimal beyond doubles", Decimal128.fromString("0.1000000000000000055")],
  ["a huge decimal", Decimal128.fromString("9.999999999999999999999999999999999E+6144")],
  ["NaN", new Double(Number.NaN)],
  ["the least key", new MinKey()],
  ["the greatest key", new MaxKey()],
  ["code", new Code("return 1")],
])("has another form than text for %s", (_name, value) => {
  const text = String(JSON.parse(bsonJson(value)));
  const jsons = storedForms(text).values.map((form) => bsonJson(form));
  expect(storedForms(text).values.length).toBeGreaterThan(2 - Number(value instanceof Code));
  expect(jsons.every((json) => json === JSON.stringify(text) || /^[\d"-]/.test(json))).toBe(true);
});

it("leaves binaries to their type, whatever their subtype", () => {
  for (const length of [0, 1, 2, 3, 4]) {
    const text = String(JSON.parse(bsonJson(new Binary(Buffer.alloc(length, 0xfb), 5))));
    expect(storedForms(text).types).toEqual(["binData"]);
  }
  expect(storedForms("no base64").types).toEqual([]);
});
