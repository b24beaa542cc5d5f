import { expect, test } from "vitest";
import { hasShortSecret, parseTokenSecrets } from "./token-secrets.ts";

const LONG = "0123456789abcdef0123456789abcdef";

test.each([
  ["one", ["one"]],
  ["new,old", ["new", "old"]],
  [" new , old ,\n", ["new", "old"]],
  ["with space", ["with space"]],
  [" , ", []],
])("%j", (text, secrets) => {
  expect(parseTokenSecrets(text)).toEqual(secrets);
});

test("a secret is short below 32 characters, be it the one that signs or another", () => {
  expect(hasShortSecret([LONG, LONG])).toBe(false);
  expect(hasShortSecret([LONG, LONG.slice(1)])).toBe(true);
  expect(hasShortSecret([LONG.slice(1), LONG])).toBe(true);
});
