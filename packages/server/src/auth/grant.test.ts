import { RealtimeError } from "@paperdb/protocol";
import { expect, test } from "vitest";
import { requireCollection, requireMint, requirePublish, requireTopic } from "./grant.ts";
import type { Grant } from "./grant.ts";

const KEY: Grant = {
  tenant: "t",
  plan: "pro",
  keyId: "k",
  role: "secret",
  collections: undefined,
  topics: undefined,
};
const LIMITED: Grant = { ...KEY, collections: ["notes"], topics: [] };
const TOKEN: Grant = {
  ...KEY,
  role: "anon",
  collections: ["notes"],
  topics: ["order.*", "user.1.>"],
  token: { id: "j", expiresAtMs: 1 },
};

function refusal(check: () => void): string {
  try {
    check();
    return "allowed";
  } catch (error) {
    if (error instanceof RealtimeError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

test("a key without a limit grants every collection and topic", () => {
  expect(refusal(() => requireCollection(KEY, "anything"))).toBe("allowed");
  expect(refusal(() => requireTopic(KEY, ">"))).toBe("allowed");
});

test("a limited key grants its collections and no topic", () => {
  expect(refusal(() => requireCollection(LIMITED, "notes"))).toBe("allowed");
  expect(refusal(() => requireCollection(LIMITED, "other"))).toMatch(/^forbidden: This key .*"other"/);
  expect(refusal(() => requireTopic(LIMITED, "order.created"))).toMatch(/^forbidden: This key is limited/);
});

test("a token grants the collections that it names", () => {
  expect(refusal(() => requireCollection(TOKEN, "notes"))).toBe("allowed");
  for (const name of ["other", "Notes", "notes ", "", "*"]) {
    expect(refusal(() => requireCollection(TOKEN, name))).toMatch(/^forbidden: This token/);
  }
});

test.each([
  ["order.created", true],
  ["order.*", true],
  ["user.1.a.b", true],
  ["user.1.>", true],
  ["user.1.*", true],
  ["order.>", false],
  ["order.item.added", false],
  ["order", false],
  ["*.created", false],
  ["user.*.a", false],
  ["user.2.a", false],
  [">", false],
])("a token of order.* and user.1.> and the topic %s: %s", (pattern, isGranted) => {
  const answer = refusal(() => requireTopic(TOKEN, pattern));
  if (isGranted) expect(answer).toBe("allowed");
  else expect(answer).toMatch(/^forbidden: This token does not grant the topic ".*"topics"/);
});

test("only a secret key publishes and mints", () => {
  for (const require of [requirePublish, requireMint]) {
    expect(refusal(() => require(KEY))).toBe("allowed");
    expect(refusal(() => require({ ...KEY, role: "anon" }))).toMatch(
      /^forbidden: An anon key .*with a secret key/,
    );
    expect(refusal(() => require(TOKEN))).toMatch(/^forbidden: A realtime token .*with a secret key/);
    expect(refusal(() => require({ ...TOKEN, role: "secret" }))).toMatch(/^forbidden: A realtime token/);
  }
});
