import { expect, test } from "vitest";
import { parseGrantChange } from "./grant-change.ts";

test.each([
  ['{"keyId":"key_a","tenant":"t"}', { kind: "key", keyId: "key_a" }],
  ['{"tenant":"t\\"\\u00e9"}', { kind: "tenant", tenant: 't"é' }],
  ['{"tenant":"t","plan":"free"}', { kind: "plan", tenant: "t", plan: "free" }],
  ['{"all":true}', { kind: "all" }],
  ["", { kind: "all" }],
  ["garbage", { kind: "all" }],
  ["null", { kind: "all" }],
  ['{"tenant":1}', { kind: "all" }],
])("%s", (payload, change) => {
  expect(parseGrantChange(payload)).toEqual(change);
});
