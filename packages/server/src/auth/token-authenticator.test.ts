import { RealtimeError } from "@paperdb/protocol";
import { beforeEach, expect, test } from "vitest";
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
const tokens = new RealtimeTokens({ secrets: ["a-secret-of-this-test-0123456789abcdef"], maxLength: 8192 });

let key: StoredKey | undefined;
let queries: number;
let keys: KeyAuthenticator;
let authenticator: TokenAuthenticator;

beforeEach(() => {
  key = KEY;
  queries = 0;
  const store: KeyStore = {
    findByHash: () => Promise.reject(new Error("tokens carry no key")),
    findByIds(ids) {
      queries += 1;
      return Promise.resolve(key !== undefined && ids.includes(key.id) ? [key] : []);
    },
  };
  keys = new KeyAuthenticator({ store, keyCacheMs: 30_000, maxCachedKeys: 10 });
  keys.setAnnounced(true);
  authenticator = new TokenAuthenticator({ tokens, keys, plans: PLANS });
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
