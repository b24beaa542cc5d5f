import { expect, it } from "vitest";
import type { Target } from "./subscription.ts";
import { Token } from "./token.ts";

const NOW_MS = 5_000_000;
const messages: Target = { kind: "collection", name: "messages" };

function tokenOf(claims: unknown): string {
  return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
}

it("lasts from when it came, whatever the local clock says", () => {
  const token = new Token(tokenOf({ iat: 9_999_999, exp: 9_999_999 + 100 }), [], NOW_MS);
  expect(token.endsAtMs).toBe(NOW_MS + 100_000);
  expect(token.renewAtMs).toBe(NOW_MS + 79_200);
});

it.each([
  ["no token", "not a token"],
  ["no JSON", "a.b!.c"],
  ["no object", tokenOf(null)],
  ["no times", tokenOf({})],
  ["times that are no numbers", tokenOf({ iat: "x", exp: {} })],
  ["an end before its start", tokenOf({ iat: 2, exp: 1 })],
  ["collections that are no list", tokenOf({ collections: 5, topics: { a: 1 } })],
])("is used until the server refuses it when it has %s", (_what, text) => {
  const token = new Token(text, [messages], NOW_MS);
  expect([token.renewAtMs, token.endsAtMs]).toEqual([Infinity, Infinity]);
  expect(token.covers(messages)).toBe(true);
});

it("covers what it names, and what it was asked to cover", () => {
  const token = new Token(tokenOf({ collections: ["a"], topics: ["order.*"] }), [messages], NOW_MS);
  const covers = (kind: Target["kind"], name: string): boolean => token.covers({ kind, name });
  expect([covers("collection", "a"), covers("collection", "messages"), covers("topic", "order.*")]).toEqual([
    true,
    true,
    true,
  ]);
  expect([covers("collection", "order.*"), covers("topic", "a"), covers("collection", "b")]).toEqual([
    false,
    false,
    false,
  ]);
});

it("reads names in base64url", () => {
  const token = new Token(tokenOf({ collections: ["~~~???>>>"] }), [], NOW_MS);
  expect(token.covers({ kind: "collection", name: "~~~???>>>" })).toBe(true);
});
