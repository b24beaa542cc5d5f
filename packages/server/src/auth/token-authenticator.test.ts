import { RealtimeError } from "@paperdb/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import { KeyAuthenticator } from "./key-authenticator.ts";
import type { KeyStore, StoredKey } from "./key-store.ts";
import { RealtimeTokens } from "./realtime-token.ts";
import type { MintRequest } from "./realtime-token.ts";
import { TokenAuthenticator } from "./token-authenticator.ts";

const KEY: StoredKey = {
  id: "key_1",
  hash: Buffer.alloc(32),
  role: "secret",
  collections: null,
  tenant: "acme",
  plan: "pro",
};
const PLANS = { free: { realtime: false }, pro: { realtime: true } };
const SECRET = "a-secret-of-this-test-0123456789abcdef";
const tokens = new RealtimeTokens({ secrets: [SECRET], maxLength: 8192, now: () => Date.now() + aheadMs });

/** How far the clock of {@link tokens} is ahead. */
let aheadMs = 0;
let key: StoredKey | undefined;
let queries: number;
let keys: KeyAuthenticator;
let authenticator: TokenAuthenticator;

beforeEach(() => {
  key = KEY;
  queries = 0;
  aheadMs = 0;
  const store: KeyStore = {
    findByHash: () => Promise.reject(new Error("tokens carry no key")),
    findByIds(ids) {
      queries += 1;
      return Promise.resolve(key !== undefined && ids.includes(key.id) ? [key] : []);
    },
  };
  keys = new KeyAuthenticator({ store, keyCacheMs: 30_000, maxCachedKeys: 10, maxLookups: 10 });
  keys.setAnnounced(true);
  authenticator = new TokenAuthenticator({ tokens, keys, plans: PLANS, maxCachedTokens: 3 });
});

async function mint(request: Partial<MintRequest> = {}): Promise<string> {
  const { token } = await tokens.mint({
    tenant: "acme",
    keyId: "key_1",
    collections: ["messages", "notes"],
    topics: ["order.*"],
    permissions: ["read"],
    lifetimeSeconds: 900,
    ...request,
  });
  return token;
}

async function codeOf(token: string): Promise<string> {
  try {
    await authenticator.authenticateToken(token);
    return "good";
  } catch (error) {
    if (error instanceof RealtimeError) return error.code;
    throw error;
  }
}

test("a token's grant is its key's tenant and plan, and reads what the token names", async () => {
  const token = await mint();
  const { id, expiresAtMs } = await tokens.verify(token);
  expect(await authenticator.authenticateToken(token)).toEqual({
    tenant: "acme",
    plan: "pro",
    keyId: "key_1",
    role: "anon",
    collections: ["messages", "notes"],
    topics: ["order.*"],
    token: { id, expiresAtMs },
  });
});

test("a token grants no more than its key does now", async () => {
  key = { ...KEY, collections: ["notes", "other"] };
  const grant = await authenticator.authenticateToken(await mint());
  expect([grant.collections, grant.topics]).toEqual([["notes"], []]);
});

test("a token shows what its filters and those of its key, as they are now, both let be seen", async () => {
  const token = await mint({ filters: { messages: { $or: [{ room: "a" }, { room: "b" }] } } });
  const seen = async (): Promise<(boolean | undefined)[]> => {
    const { filters } = await authenticator.authenticateToken(token);
    return ["a", "b", "c"].map((room) => filters?.get("messages")?.matches({ room }));
  };
  expect(await seen()).toEqual([true, true, false]);
  key = { ...KEY, where: { messages: { room: { $in: ["b", "c"] } }, notes: { a: 1 } } };
  keys.forget({ kind: "key", keyId: "key_1" });
  expect(await seen()).toEqual([false, true, false]);
  const { filters, keyFilters, cursorGrants } = await authenticator.authenticateToken(await mint());
  expect([...(cursorGrants?.keys() ?? [])]).toEqual([...(filters?.keys() ?? [])]);
  expect(new Set(cursorGrants?.values()).size).toBe(2);
  expect([filters?.size, keyFilters?.size]).toEqual([2, 2]);
  key = { ...KEY, where: { messages: { room: { $near: 1 } } } };
  keys.forget({ kind: "key", keyId: "key_1" });
  expect(await codeOf(token)).toBe("forbidden");
});

test("a token without collections grants none", async () => {
  const grant = await authenticator.authenticateToken(await mint({ collections: [] }));
  expect(grant.collections).toEqual([]);
});

test("a token that does not permit to read is refused", async () => {
  expect(await codeOf(await mint({ permissions: [] }))).toBe("forbidden");
});

test("a bad token costs no look-up, and many good ones cost one", async () => {
  expect(await codeOf("a.b.c")).toBe("token_invalid");
  expect(queries).toBe(0);
  for (let count = 0; count < 5; count += 1) expect(await codeOf(await mint())).toBe("good");
  expect(queries).toBe(1);
});

test("a token dies with its key", async () => {
  const token = await mint();
  expect(await codeOf(token)).toBe("good");
  key = undefined;
  expect(await codeOf(token)).toBe("good");
  keys.forget({ kind: "key", keyId: "key_1" });
  expect(await codeOf(token)).toBe("key_revoked");
});

test.each<[string, Partial<StoredKey>, string]>([
  ["of another tenant", { tenant: "other" }, "token_invalid"],
  ["that became an anon key", { role: "anon" }, "key_revoked"],
  ["whose tenant moved to a plan without realtime", { plan: "free" }, "plan_required"],
  ["whose tenant is on a plan that is not configured", { plan: "constructor" }, "plan_required"],
])("a token of a key %s is refused", async (_name, change, code) => {
  key = { ...KEY, ...change };
  expect(await codeOf(await mint())).toBe(code);
});

describe("a token that was checked before", () => {
  test("has the same grant for all who come with it, as long as its key's is the same", async () => {
    const token = await mint({ filters: { messages: { a: 1 } } });
    const grant = await authenticator.authenticateToken(token);
    expect(await authenticator.authenticateToken(token)).toBe(grant);
    key = { ...KEY, collections: ["notes"] };
    keys.forget({ kind: "key", keyId: "key_1" });
    const narrowed = await authenticator.authenticateToken(token);
    expect(narrowed.collections).toEqual(["notes"]);
    key = KEY;
    keys.forget({ kind: "tenant", tenant: "acme" });
    expect(await authenticator.authenticateToken(token)).toEqual(grant);
  });

  test("ends with its time", async () => {
    const token = await mint({ lifetimeSeconds: 900 });
    expect(await codeOf(token)).toBe("good");
    aheadMs = 450_000;
    expect(await codeOf(token)).toBe("good");
    aheadMs = 900_000;
    expect(await codeOf(token)).toBe("token_expired");
  });

  test.each<[string, StoredKey | undefined, string]>([
    ["with its key", undefined, "key_revoked"],
    ["with its tenant's plan", { ...KEY, plan: "free" }, "plan_required"],
    ["when its key becomes another tenant's", { ...KEY, tenant: "other" }, "token_invalid"],
    ["when its key may not mint any more", { ...KEY, role: "anon" }, "key_revoked"],
  ])("ends %s, also at the second try", async (_name, changed, code) => {
    const token = await mint();
    expect(await codeOf(token)).toBe("good");
    key = changed;
    keys.forget({ kind: "all" });
    expect([await codeOf(token), await codeOf(token)]).toEqual([code, code]);
  });

  test("is not another one that differs in one character, or in its signature", async () => {
    const token = await mint();
    expect(await codeOf(token)).toBe("good");
    const [header = "", claims = "", signature = ""] = token.split(".");
    const [, otherClaims = ""] = (await mint({ tenant: "other" })).split(".");
    for (const changed of [
      `${header}.${otherClaims}.${signature}`,
      `${header}.${claims}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`,
      `${header}.${claims}.`,
    ]) {
      expect(await codeOf(changed)).toBe("token_invalid");
    }
  });

  test("is forgotten when there are too many, those first that were not used for longest", async () => {
    const [first = "", ...others] = await Promise.all(Array.from({ length: 5 }, () => mint()));
    const grant = await authenticator.authenticateToken(first);
    for (const other of others) {
      await authenticator.authenticateToken(other);
      expect(await authenticator.authenticateToken(first)).toBe(grant);
      expect(authenticator.cachedTokens).toBeLessThanOrEqual(3);
    }
    expect(authenticator.cachedTokens).toBe(3);
  });

  test("is remembered only when it was good", async () => {
    const elsewhere = new RealtimeTokens({
      secrets: ["another-secret-of-this-test-0123456789"],
      maxLength: 8192,
    });
    const { token } = await elsewhere.mint({
      tenant: "acme",
      keyId: "key_1",
      collections: [],
      topics: [],
      permissions: ["read"],
      lifetimeSeconds: 900,
    });
    for (const bad of [token, "rubbish", "x".repeat(9000)]) expect(await codeOf(bad)).toBe("token_invalid");
    expect(authenticator.cachedTokens).toBe(0);
  });
});
