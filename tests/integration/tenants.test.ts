import { RealtimeError } from "@paperdb/protocol";
import type { PoolClient } from "pg";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KeyAuthenticator } from "../../packages/server/src/auth/key-authenticator.ts";
import { createDemo } from "../../packages/server/src/tenants/demo.ts";
import { GrantWatcher } from "../../packages/server/src/tenants/grant-watcher.ts";
import type { LiveKey, Revoked } from "../../packages/server/src/tenants/grant-watcher.ts";
import { openTenantDatabase } from "../../packages/server/src/tenants/tenant-database.ts";
import type { TenantDatabase } from "../../packages/server/src/tenants/tenant-database.ts";
import { createDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";

const log = pino({ level: "silent" });
const PAGE = { limit: 100 };
const PLANS = { free: { realtime: false }, pro: { realtime: true }, team: { realtime: true } };
const HOSTILE_IDS = [
  "' or true --",
  'quo"te',
  "a:b",
  "*",
  "a/b/../c",
  "..",
  "%2F%00",
  "flc_rt_",
  "日本 😀",
  "\\x00",
  "{a,b}",
  "x".repeat(200),
];

const LISTENERS = `from pg_stat_activity
  where application_name = 'paperdb-realtime grants' and datname = current_database()`;

let database: TestDatabase;
let tenants: TenantDatabase;

beforeEach(async () => {
  database = await createDatabase();
  tenants = await openTenantDatabase({ url: database.url, log });
});

afterEach(async () => {
  await tenants.close();
  await database.drop();
});

async function allowConnections(client: PoolClient, allowed: boolean): Promise<void> {
  // ALTER DATABASE refuses this for the database that it runs in.
  await client.query("update pg_database set datallowconn = $1 where datname = current_database()", [
    allowed,
  ]);
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    if (error instanceof RealtimeError) return error.code;
    throw error;
  }
}

describe("the store", () => {
  test("tenants: create, list by pages, change, delete", async () => {
    const { store } = tenants;
    for (const id of ["c", "a", "b"]) await store.createTenant(id, "free");
    expect((await store.listTenants(PAGE)).map(({ id }) => id)).toEqual(["a", "b", "c"]);
    expect((await store.listTenants({ after: "a", limit: 1 })).map(({ id }) => id)).toEqual(["b"]);
    expect(await store.setPlan("a", "team")).toMatchObject({ id: "a", plan: "team" });
    const [first] = await store.listTenants(PAGE);
    expect(first?.plan).toBe("team");
    expect(Date.now() - Date.parse(first?.createdAt ?? "")).toBeLessThan(60_000);
    await store.deleteTenant("a");
    expect((await store.listTenants(PAGE)).map(({ id }) => id)).toEqual(["b", "c"]);
  });

  test("what is not there, or there already", async () => {
    const { store } = tenants;
    await store.createTenant("a", "pro");
    await store.createTenant("b", "pro");
    const key = await store.createKey("b", "anon");
    expect(await codeOf(store.createTenant("a", "pro"))).toBe("conflict");
    expect(await codeOf(store.setPlan("none", "pro"))).toBe("tenant_not_found");
    expect(await codeOf(store.deleteTenant("none"))).toBe("tenant_not_found");
    expect(await codeOf(store.createKey("none", "anon"))).toBe("tenant_not_found");
    expect(await codeOf(store.listKeys("none", PAGE))).toBe("tenant_not_found");
    expect(await codeOf(store.deleteKey("none", key.id))).toBe("tenant_not_found");
    expect(await codeOf(store.deleteKey("a", key.id))).toBe("not_found");
    expect(await codeOf(store.createTenant("a\nb", "pro"))).toBe("invalid_request");
    expect(await codeOf(store.createTenant("", "pro"))).toBe("invalid_request");
    expect(await store.findByIds([key.id])).toHaveLength(1);
  });

  test("a key's text is nowhere in the database", async () => {
    await tenants.store.createTenant("a", "pro");
    const { key } = await tenants.store.createKey("a", "secret", { collections: ["todos"] });
    const dump = await database.query<{ row: string }>(
      "select k::text || encode(hash, 'escape') as row from paperdb.keys k",
    );
    expect(dump.rows).toHaveLength(1);
    expect(dump.rows[0]?.row).not.toContain(key.replace("flc_secret_", ""));
    const listed = await tenants.store.listKeys("a", PAGE);
    expect(listed).toMatchObject([{ role: "secret", collections: ["todos"] }]);
    expect(Object.keys(listed[0] ?? {}).toSorted()).toEqual([
      "collections",
      "createdAt",
      "id",
      "role",
      "where",
    ]);
  });

  test("hostile tenant ids stay apart", async () => {
    const { store } = tenants;
    const authenticator = new KeyAuthenticator({
      store,
      keyCacheMs: 1000,
      maxCachedKeys: 100,
      maxLookups: 100,
    });
    const keys = new Map<string, string>();
    for (const id of HOSTILE_IDS) {
      await store.createTenant(id, "pro");
      keys.set(id, (await store.createKey(id, "anon", { collections: ['col"l', "a:b"] })).key);
    }
    for (const [id, key] of keys) {
      const grant = await authenticator.authenticate(key);
      expect(grant).toMatchObject({ tenant: id, collections: ['col"l', "a:b"] });
      expect(await store.listKeys(id, PAGE)).toHaveLength(1);
    }
    const [first = "", ...others] = HOSTILE_IDS;
    await store.deleteTenant(first);
    expect((await store.listTenants(PAGE)).map(({ id }) => id).toSorted()).toEqual(others.toSorted());
  });

  test("the database refuses what would not be a tenant, also by hand", async () => {
    const insert = "insert into paperdb.tenants (id, plan) values ($1, $2)";
    await expect(database.query(insert, ["a\u0001", "pro"])).rejects.toThrow(/check constraint/);
    await expect(database.query(insert, ["", "pro"])).rejects.toThrow(/check constraint/);
    await expect(database.query(insert, ["x".repeat(201), "pro"])).rejects.toThrow(/check constraint/);
    await expect(database.query(insert, ["a", "gold"])).rejects.toThrow(/check constraint/);
  });

  test("several servers that start together", async () => {
    const opened = await Promise.all(
      Array.from({ length: 4 }, () => openTenantDatabase({ url: database.url, log })),
    );
    await Promise.all(opened.map(({ store }, index) => store.createTenant(String(index), "pro")));
    await Promise.all(opened.map((other) => other.close()));
    expect(await tenants.store.listTenants(PAGE)).toHaveLength(4);
  });

  test("a wrong URL is one sentence", async () => {
    const url = new URL(database.url);
    url.pathname = "/nowhere";
    await expect(openTenantDatabase({ url: url.href, log })).rejects.toThrow(
      /^The database "nowhere" at .* cannot be used: there is no such database: create it/,
    );
    url.port = "1";
    await expect(openTenantDatabase({ url: url.href, log })).rejects.toThrow(/nothing listens there/);
  });
});

describe("the demo", () => {
  test("is made once, whole, and not again after it was deleted", async () => {
    const demo = await createDemo(tenants.pool);
    const authenticator = new KeyAuthenticator({
      store: tenants.store,
      keyCacheMs: 1000,
      maxCachedKeys: 9,
      maxLookups: 9,
    });
    expect(await authenticator.authenticate(demo?.anonKey ?? "")).toMatchObject({
      tenant: "demo",
      plan: "pro",
      role: "anon",
    });
    expect(await authenticator.authenticate(demo?.secretKey ?? "")).toMatchObject({
      tenant: "demo",
      role: "secret",
    });
    const todos = await database.query("select * from public.todos where tenant_id = 'demo'");
    expect(todos.rowCount).toBeGreaterThan(1);
    await tenants.store.deleteTenant("demo");
    expect(await createDemo(tenants.pool)).toBeUndefined();
    expect(await tenants.store.listTenants(PAGE)).toEqual([]);
  });

  test("an attempt that failed leaves nothing, and the next one succeeds", async () => {
    await database.query("create table public.todos (unlike text)");
    await expect(createDemo(tenants.pool)).rejects.toThrow(/tenant_id/);
    expect(await tenants.store.listTenants(PAGE)).toEqual([]);
    await database.query("drop table public.todos");
    expect(await createDemo(tenants.pool)).toMatchObject({ tenant: "demo" });
  });

  test("a tenant of this name that somebody made is left alone", async () => {
    await tenants.store.createTenant("demo", "free");
    expect(await createDemo(tenants.pool)).toBeUndefined();
    expect(await tenants.store.listTenants(PAGE)).toMatchObject([{ id: "demo", plan: "free" }]);
  });
});

describe("changes made elsewhere", () => {
  const revoked: Revoked[] = [];
  let authenticator: KeyAuthenticator;
  let watcher: GrantWatcher;
  let live: LiveKey[];

  beforeEach(async () => {
    revoked.length = 0;
    live = [];
    authenticator = new KeyAuthenticator({
      store: tenants.store,
      keyCacheMs: 3_600_000,
      maxCachedKeys: 100,
      maxLookups: 100,
    });
    watcher = new GrantWatcher({
      url: database.url,
      log,
      store: tenants.store,
      authenticator,
      plans: PLANS,
      liveKeys: () => live,
      onRevoked: (event) => revoked.push(event),
    });
    await watcher.open();
    await tenants.store.createTenant("a", "pro");
    await tenants.store.createTenant("b", "pro");
  });

  afterEach(async () => {
    await watcher.close();
  });

  function arrives(expected: Revoked): Promise<unknown> {
    return until(() => revoked.some((event) => JSON.stringify(event) === JSON.stringify(expected)), {
      describe: () => `${JSON.stringify(expected)} among ${JSON.stringify(revoked)}`,
    });
  }

  test("a key deleted by hand is revoked within 1 s, and only that one", async () => {
    const [one, two] = [
      await tenants.store.createKey("a", "anon"),
      await tenants.store.createKey("a", "anon"),
    ];
    await authenticator.authenticate(one.key);
    await authenticator.authenticate(two.key);
    live = [one, two].map(({ id }) => ({ keyId: id, tenant: "a", collections: ["todos"], topics: [] }));
    await database.query("delete from paperdb.keys where id = $1", [one.id]);
    await arrives({ keyId: one.id });
    expect(await codeOf(authenticator.authenticate(one.key))).toBe("key_revoked");
    expect(await codeOf(authenticator.authenticate(two.key))).toBe("none");
    expect(revoked).toEqual([{ keyId: one.id }]);
  });

  test("a key that may mint no tokens any more takes those back that it has minted", async () => {
    const [one, two] = [
      await tenants.store.createKey("a", "secret"),
      await tenants.store.createKey("a", "secret"),
    ];
    const common = { tenant: "a", collections: ["todos"], topics: [] };
    live = [
      { ...common, keyId: one.id, byToken: true },
      { ...common, keyId: two.id, byToken: false },
    ];
    await database.query("update paperdb.keys set role = 'anon' where id = any($1)", [[two.id, one.id]]);
    await arrives({ keyId: one.id });
    await database.query("delete from paperdb.keys where id = $1", [two.id]);
    await arrives({ keyId: two.id });
    expect(revoked).toEqual([{ keyId: one.id }, { keyId: two.id }]);
  });

  test("a deleted tenant is revoked, whatever its id", async () => {
    for (const id of HOSTILE_IDS) {
      await tenants.store.createTenant(id, "pro");
      const { id: keyId, key } = await tenants.store.createKey(id, "anon");
      await authenticator.authenticate(key);
      live = [{ keyId, tenant: id, collections: [], topics: [">"] }];
      await database.query("delete from paperdb.tenants where id = $1", [id]);
      await arrives({ keyId });
      expect(await codeOf(authenticator.authenticate(key))).toBe("key_revoked");
    }
  });

  test("a plan without realtime ends connections, another does not, both are seen by the next request", async () => {
    const { id, key } = await tenants.store.createKey("a", "anon");
    await authenticator.authenticate(key);
    live = [{ keyId: id, tenant: "a", collections: [], topics: [">"] }];
    await database.query("update paperdb.tenants set plan = 'team' where id = 'a'");
    await until(async () => (await authenticator.authenticate(key)).plan === "team");
    expect(revoked).toEqual([]);
    await database.query("update paperdb.tenants set plan = 'free' where id = 'a'");
    await arrives({ tenant: "a", planChangedTo: "free" });
    expect((await authenticator.authenticate(key)).plan).toBe("free");
  });

  test("a key whose collections change is taken back, and ends the connections that it does not grant any more", async () => {
    const { id, key } = await tenants.store.createKey("a", "anon", {
      collections: ["todos", "notes", "more"],
    });
    await authenticator.authenticate(key);
    live = [{ keyId: id, tenant: "a", collections: ["notes"], topics: [] }];
    await database.query("update paperdb.keys set collections = '{todos,notes}' where id = $1", [id]);
    await until(async () => (await authenticator.authenticate(key)).collections?.length === 2);
    expect(revoked).toEqual([]);
    live = [{ keyId: id, tenant: "a", collections: ["todos"], topics: [] }];
    await database.query("update paperdb.keys set collections = '{notes}' where id = $1", [id]);
    await arrives({ keyId: id });
    expect((await authenticator.authenticate(key)).collections).toEqual(["notes"]);
  });

  test("TRUNCATE, and writes as a replica", async () => {
    const [one, two] = [
      await tenants.store.createKey("a", "anon"),
      await tenants.store.createKey("b", "anon"),
    ];
    live = [
      { keyId: one.id, tenant: "a", collections: [], topics: [">"] },
      { keyId: two.id, tenant: "b", collections: [], topics: [">"] },
    ];
    await database.query(
      "begin; set local session_replication_role = replica; delete from paperdb.keys where tenant_id = 'a'; commit",
    );
    await arrives({ keyId: one.id });
    await database.query("truncate paperdb.tenants cascade");
    await arrives({ keyId: two.id });
    expect(await codeOf(authenticator.authenticate(two.key))).toBe("key_revoked");
  });

  test("an announcement that no trigger made changes nothing for valid keys", async () => {
    const { id, key } = await tenants.store.createKey("a", "anon");
    const { id: last } = await tenants.store.createKey("b", "anon");
    live = [
      { keyId: id, tenant: "a", collections: [], topics: [">"] },
      { keyId: last, tenant: "b", collections: [], topics: [">"] },
    ];
    for (const forged of [
      "garbage",
      "",
      '{"tenant":"a"}',
      '{"tenant":"a","plan":"free"}',
      `{"keyId":"${id}"}`,
    ]) {
      await database.query("select pg_notify('paperdb_grants', $1)", [forged]);
    }
    await tenants.store.deleteKey("b", last);
    await arrives({ keyId: last });
    expect(await codeOf(authenticator.authenticate(key))).toBe("none");
    // Each look at the keys finds it anew, as long as it is listed as live.
    expect(revoked.filter(({ keyId }) => keyId !== last)).toEqual([]);
  });

  test("what was missed while the listener was away is found when it is back", async () => {
    const [gone, downgraded, kept] = [
      await tenants.store.createKey("a", "anon"),
      await tenants.store.createKey("b", "anon"),
      await tenants.store.createKey("a", "secret"),
    ];
    live = [
      { keyId: gone.id, tenant: "a", collections: [], topics: [">"] },
      { keyId: downgraded.id, tenant: "b", collections: [], topics: [">"] },
      { keyId: kept.id, tenant: "a", collections: [], topics: [">"] },
      { keyId: kept.id, tenant: "a", collections: [], topics: [">"] },
    ];
    for (const { key } of [gone, downgraded, kept]) await authenticator.authenticate(key);
    const client = await database.pool.connect();
    try {
      await allowConnections(client, false);
      await client.query(`select pg_terminate_backend(pid) ${LISTENERS}`);
      await until(async () => (await client.query(`select 1 ${LISTENERS}`)).rowCount === 0);
      await client.query("delete from paperdb.keys where id = $1", [gone.id]);
      await client.query("update paperdb.tenants set plan = 'free' where id = 'b'");
      expect(revoked).toEqual([]);
    } finally {
      await allowConnections(client, true);
      client.release();
    }
    await until(() => revoked.length >= 2, { describe: () => JSON.stringify(revoked) });
    expect(revoked).toEqual(
      expect.arrayContaining([{ keyId: gone.id }, { tenant: "b", planChangedTo: "free" }]),
    );
    expect(await codeOf(authenticator.authenticate(gone.key))).toBe("key_revoked");
    expect(await codeOf(authenticator.authenticate(kept.key))).toBe("none");
  });
});
