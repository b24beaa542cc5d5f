import { expect, it } from "vitest";
import { whereKey } from "./where-key.ts";

it.each([
  [undefined, {}],
  [
    { a: 1, b: 2 },
    { b: 2, a: 1 },
  ],
  [{ a: { x: 1, y: [{ p: 1, q: 2 }] } }, { a: { y: [{ q: 2, p: 1 }], x: 1 } }],
  [{ a: 1 }, { a: { $eq: 1 } }],
  [{ a: { $eq: { y: 1, x: 2 } } }, { a: { x: 2, y: 1 } }],
  [{ a: null }, { a: { $eq: null } }],
  [{ a: 1, b: undefined }, { a: 1 }],
  [{ a: new Date(0) }, { a: "1970-01-01T00:00:00.000Z" }],
])("is the same for %j and %j", (left, right) => {
  expect(whereKey(left)).toBe(whereKey(right));
});

it.each([
  [{}, { a: undefined, b: 1 }],
  [{ a: 1 }, { a: "1" }],
  [{ a: [1, 2] }, { a: [2, 1] }],
  [{ a: { $eq: 1, $exists: true } }, { a: 1 }],
  [{ a: { $gt: 1 } }, { a: { $gte: 1 } }],
  [{ a: { b: 1 } }, { "a.b": 1 }],
  [{ a: null }, {}],
])("is another one for %j and %j", (left, right) => {
  expect(whereKey(left)).not.toBe(whereKey(right));
});
