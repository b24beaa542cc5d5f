import { EventEmitter, once } from "node:events";
import { RealtimeError } from "@paperdb/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import type { Grant } from "./grant.ts";
import { KeyAuthenticator } from "./key-authenticator.ts";
import type { KeyStore, StoredKey } from "./key-store.ts";
import { createKeyText, hashKey } from "./key-text.ts";

const KEY_CACHE_MS = 30_000;

/** A store whose answers a test holds back, changes and fails. */
class ControlledStore implements KeyStore {
  readonly keys = new Map<string, StoredKey>();
  /** Awaited after the answer was read, before it is given. */
  gate: Promise<unknown> = Promise.resolve();
  reachable = true;
  queries = 0;

  add(tenant: string, plan = "pro"): string {
    const text = createKeyText("anon");
    const hash = hashKey(text);
    const id = `key_${String(this.keys.size)}`;
    this.keys.set(hash.toString("hex"), { id, hash, role: "anon", collections: null, tenant, plan });
    return text;
  }

  async findByHash(hash: Buffer): Promise<StoredKey | undefined> {
    this.queries += 1;
    const found = this.keys.get(hash.toString("hex"));
    const { reachable } = this;
    await this.gate;
    if (!reachable) throw new RealtimeError("key_store_unavailable", "down");
    return found;
  }

  async findByIds(ids: readonly string[]): Promise<readonly StoredKey[]> {
    this.queries += 1;
    const found = Array.from(this.keys.values()).filter(({ id }) => ids.includes(id));
    const { reachable } = this;
    await this.gate;
    if (!reachable) throw new RealtimeError("key_store_unavailable", "down");
    return found;
  }
}

let store: ControlledStore;
let nowMs: number;
let authenticator: KeyAuthenticator;

beforeEach(() => {
  store = new ControlledStore();
  nowMs = 1_000_000;
  authenticator = make({});
  authenticator.setAnnounced(true);
});

function make(options: { readonly maxCachedKeys?: number; readonly maxLookups?: number }): KeyAuthenticator {
  const made = new KeyAuthenticator({
    store,
    keyCacheMs: KEY_CACHE_MS,
    maxCachedKeys: 100,
    maxLookups: 1_000,
    now: () => nowMs,
    ...options,
  });
  made.setAnnounced(true);
  return made;
}

/** The tenant that a key is found to belong to, or the error's code. */
function ask(key: string): Promise<string> {
  return tenantOf(authenticator.authenticate(key));
}

/** The same for the key of an id, as tokens name it. */
function askById(id: string): Promise<string> {
  return tenantOf(authenticator.findMintingKey(id));
}

async function tenantOf(answer: Promise<Grant>): Promise<string> {
  try {
    return (await answer).tenant;
  } catch (error) {
    if (error instanceof RealtimeError) return error.code;
    throw error;
  }
}

describe("keys", () => {
  test("a key is its tenant's grant", async () => {
    const key = store.add("a", "team");
    expect(await authenticator.authenticate(key)).toEqual({
      tenant: "a",
      plan: "team",
      keyId: "key_0",
      role: "anon",
      collections: undefined,
      topics: undefined,
    });
  });

  test.each(["", "flc_anon_", "flc_anon_short", "sk_live_0123456789012345678901234567890123456789"])(
    "malformed, without a query: %j",
    async (key) => {
      expect(await ask(key)).toBe("key_malformed");
      expect(await ask(`${store.add("a")}\n`)).toBe("key_malformed");
      expect(store.queries).toBe(0);
    },
  );

  test("an unknown key is asked for once a second", async () => {
    const unknown = createKeyText("secret");
    expect(await ask(unknown)).toBe("key_revoked");
    nowMs += 999;
    expect(await ask(unknown)).toBe("key_revoked");
    expect(store.queries).toBe(1);
    nowMs += 1;
    expect(await ask(unknown)).toBe("key_revoked");
    expect(store.queries).toBe(2);
  });

  test("a store that answers with another key's row is not believed", async () => {
    const key = store.add("a");
    const other = createKeyText("anon");
    const row = store.keys.get(hashKey(key).toString("hex"));
    if (row !== undefined) store.keys.set(hashKey(other).toString("hex"), row);
    expect(await ask(other)).toBe("key_revoked");
  });
});

describe("the cache", () => {
  test("asks again after keyCacheMs, not before", async () => {
    const key = store.add("a");
    await ask(key);
    nowMs += KEY_CACHE_MS - 1;
    await ask(key);
    expect(store.queries).toBe(1);
    nowMs += 1;
    await ask(key);
    expect(store.queries).toBe(2);
  });

  test("is to be had at once only where the store need not be asked", async () => {
    const key = store.add("a");
    const isAtOnce = (text: string): boolean => {
      const answer = authenticator.getOrFetchGrant(text);
      if (answer instanceof Promise) answer.catch(() => undefined);
      return !(answer instanceof Promise);
    };
    const grant = await authenticator.getOrFetchGrant(key);
    nowMs += KEY_CACHE_MS - 1;
    expect(authenticator.getOrFetchGrant(key)).toBe(grant);
    expect(isAtOnce(createKeyText("anon"))).toBe(false);
    authenticator.setAnnounced(false);
    expect(isAtOnce(key)).toBe(false);
    authenticator.setAnnounced(true);
    nowMs += KEY_CACHE_MS;
    expect(isAtOnce(key)).toBe(false);
    const again = await authenticator.authenticate(key);
    expect(authenticator.getOrFetchGrant(key)).toBe(again);
    authenticator.forget({ kind: "key", keyId: grant.keyId });
    expect(isAtOnce(key)).toBe(false);
  });

  test("refuses what is no key at once", () => {
    expect(() => authenticator.getOrFetchGrant("flc_anon_short")).toThrow(
      expect.objectContaining({ code: "key_malformed" }),
    );
  });

  test("is bounded, and forgets what was not used for longest", async () => {
    authenticator = make({ maxCachedKeys: 2 });
    const [first, second, third] = [store.add("a"), store.add("b"), store.add("c")];
    for (const key of [first, second, first, third]) await ask(key);
    expect(authenticator.cachedKeys).toBe(2);
    await ask(first);
    expect(store.queries).toBe(3);
    await ask(second);
    expect(store.queries).toBe(4);
  });

  test("unknown keys do not push out known ones", async () => {
    authenticator = make({ maxCachedKeys: 2 });
    const key = store.add("a");
    await ask(key);
    for (let count = 0; count < 10; count += 1) await ask(createKeyText("anon"));
    const queries = store.queries;
    expect(await ask(key)).toBe("a");
    expect(store.queries).toBe(queries);
  });

  test("look-ups of one key at a time share one query, and all get its answer", async () => {
    const key = store.add("a");
    expect(await Promise.all([ask(key), ask(key), ask(key)])).toEqual(["a", "a", "a"]);
    expect(store.queries).toBe(1);
  });

  test("look-ups of different keys are bounded", async () => {
    authenticator = make({ maxLookups: 2 });
    const keys = [store.add("a"), store.add("b"), store.add("c")];
    expect(await Promise.all(keys.map(ask))).toEqual(["a", "b", "key_store_unavailable"]);
    expect(await ask(keys[2] ?? "")).toBe("c");
  });
});

describe("a change", () => {
  test.each([
    { kind: "key", keyId: "key_0" },
    { kind: "tenant", tenant: "a" },
    { kind: "plan", tenant: "a", plan: "free" },
    { kind: "all" },
  ] as const)("of $kind takes back what is remembered", async (change) => {
    const key = store.add("a");
    await ask(key);
    store.keys.clear();
    expect(await ask(key)).toBe("a");
    authenticator.forget(change);
    expect(await ask(key)).toBe("key_revoked");
  });

  test("of another key or tenant does not", async () => {
    const key = store.add("a");
    await ask(key);
    authenticator.forget({ kind: "key", keyId: "key_1" });
    authenticator.forget({ kind: "tenant", tenant: "b" });
    await ask(key);
    expect(store.queries).toBe(1);
  });

  test("during a look-up: the answer from before it is not used", async () => {
    const key = store.add("a");
    const gate = new EventEmitter();
    store.gate = once(gate, "open");
    const answer = ask(key);
    store.keys.clear();
    authenticator.forget({ kind: "key", keyId: "key_0" });
    gate.emit("open");
    expect(await answer).toBe("key_revoked");
    expect(store.queries).toBe(2);
  });
});

describe("an outage", () => {
  test("known keys work for keyCacheMs, then 503; unknown ones are 503 at once", async () => {
    const [key, other] = [store.add("a"), store.add("b")];
    await ask(key);
    store.reachable = false;
    authenticator.setAnnounced(false);
    nowMs += KEY_CACHE_MS - 1;
    expect(await ask(key)).toBe("a");
    expect(await ask(other)).toBe("key_store_unavailable");
    nowMs += 1;
    expect(await ask(key)).toBe("key_store_unavailable");
    store.reachable = true;
    expect(await ask(key)).toBe("a");
  });

  test("while changes are not announced, a store that answers is asked every time", async () => {
    const key = store.add("a");
    await ask(key);
    authenticator.setAnnounced(false);
    store.keys.clear();
    expect(await ask(key)).toBe("key_revoked");
    store.reachable = false;
    nowMs += 2000;
    expect(await ask(key)).toBe("key_store_unavailable");
  });
});

describe("by id, for tokens", () => {
  test("the key's grant, from the same memory", async () => {
    const key = store.add("a", "team");
    const grant = await authenticator.authenticate(key);
    expect(await authenticator.findMintingKey("key_0")).toEqual(grant);
    expect(store.queries).toBe(1);
    authenticator.forget({ kind: "key", keyId: "key_0" });
    expect(await askById("key_0")).toBe("a");
    expect(await ask(key)).toBe("a");
    expect([store.queries, authenticator.cachedKeys]).toEqual([2, 1]);
  });

  test("asks again after keyCacheMs, not before", async () => {
    store.add("a");
    await askById("key_0");
    nowMs += KEY_CACHE_MS - 1;
    await askById("key_0");
    expect(store.queries).toBe(1);
    nowMs += 1;
    await askById("key_0");
    expect(store.queries).toBe(2);
  });

  test("an unknown id is asked for once a second, and the sentence is about the token", async () => {
    await expect(authenticator.findMintingKey("key_9")).rejects.toMatchObject({
      code: "key_revoked",
      message: expect.stringMatching(/made this token/) as unknown,
    });
    nowMs += 999;
    expect(await askById("key_9")).toBe("key_revoked");
    expect(store.queries).toBe(1);
    nowMs += 1;
    await askById("key_9");
    expect(store.queries).toBe(2);
  });

  test("a key that got another text is not to be had by the old one", async () => {
    const old = store.add("a");
    await ask(old);
    const [stored] = store.keys.values();
    if (stored === undefined) throw new Error("no key");
    const hash = hashKey(createKeyText("anon"));
    store.keys.clear();
    store.keys.set(hash.toString("hex"), { ...stored, hash });
    authenticator.forget({ kind: "key", keyId: "key_0" });
    expect(await askById("key_0")).toBe("a");
    expect(await ask(old)).toBe("key_revoked");
  });

  test("a change during the look-up: the answer from before it is not used", async () => {
    store.add("a");
    const gate = new EventEmitter();
    store.gate = once(gate, "open");
    const answer = askById("key_0");
    store.keys.clear();
    authenticator.forget({ kind: "tenant", tenant: "a" });
    gate.emit("open");
    expect(await answer).toBe("key_revoked");
  });

  test("an outage: known ones for keyCacheMs, then 503; one found to be gone, never", async () => {
    store.add("a");
    store.add("b");
    await askById("key_0");
    store.reachable = false;
    authenticator.setAnnounced(false);
    nowMs += KEY_CACHE_MS - 1;
    expect([await askById("key_0"), await askById("key_1")]).toEqual(["a", "key_store_unavailable"]);
    nowMs += 1;
    expect(await askById("key_0")).toBe("key_store_unavailable");
    store.reachable = true;
    expect(await askById("key_0")).toBe("a");
    store.keys.clear();
    expect(await askById("key_0")).toBe("key_revoked");
    store.reachable = false;
    nowMs += 2000;
    expect(await askById("key_0")).toBe("key_store_unavailable");
  });
});
