import * as fc from "fast-check";
import { expect, test } from "vitest";
import { findDuplicateKey } from "./duplicate-key.ts";

test.each<[string, (string | number)[] | undefined]>([
  ["{}", undefined],
  ['{"a":1,"b":{"a":1}}', undefined],
  ['[{"a":1},{"a":1}]', undefined],
  ['{"a":1,"a":2}', ["a"]],
  ['{"a":{"b":[0,{"c":1,"d":2,"c":3}]}}', ["a", "b", 1, "c"]],
  ['{"a":"\\",\\"a\\":","b":1}', undefined],
  ['{"a":"{","b":"[","a":1}', ["a"]],
  ['{"a":1,"\\u0061":2}', ["a"]],
  ['{ "a" : 1 , "a" : 2 }', ["a"]],
])("%s", (text, path) => {
  expect(findDuplicateKey(text)).toEqual(path);
});

test("what JSON.stringify writes has none", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(findDuplicateKey(JSON.stringify(value, null, 2))).toBeUndefined();
    }),
  );
});
