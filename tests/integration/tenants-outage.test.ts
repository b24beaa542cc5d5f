import { RealtimeError } from "@paperdb/protocol";
import { Client } from "pg";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Grant } from "../../packages/server/src/auth/grant.ts";
import { KeyAuthenticator } from "../../packages/server/src/auth/key-authenticator.ts";
import { GrantWatcher } from "../../packages/server/src/tenants/grant-watcher.ts";
import type { LiveKey, Revoked } from "../../packages/server/src/tenants/grant-watcher.ts";
import { openTenantDatabase } from "../../packages/server/src/tenants/tenant-database.ts";
import type { TenantDatabase } from "../../packages/server/src/tenants/tenant-database.ts";
import { startPostgres } from "../support/postgres.ts";
import type { TestPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

const KEY_CACHE_MS = 30_000;
/** What servers that start together take turns by. */
const MIGRATION_LOCK = "31632332757820514";
const log = pino({ level: "silent" });

let postgres: TestPostgres;
let tenants: TenantDatabase;
let authenticator: KeyAuthenticator;
let watcher: GrantWatcher;
let nowMs = 0;
const revoked: Revoked[] = [];
const live: LiveKey[] = [];

beforeEach(async () => {
  revoked.length = 0;
  live.length = 0;
  nowMs = Date.now();
  postgres = await startPostgres();
  tenants = await openTenantDatabase({ url: postgres.url, log, timeoutMs: 10_000 });
  const { store } = tenants;
  authenticator = new KeyAuthenticator({
    store,
    keyCacheMs: KEY_CACHE_MS,
    maxCachedKeys: 10,
    maxLookups: 10,
    now: () => nowMs,
  });
  watcher = new GrantWatcher({
    url: postgres.url,
    log,
    store,
    authenticator,
    plans: { pro: { realtime: true } },
    liveKeys: () => live,
    onRevoked: (event) => revoked.push(event),
  });
  await watcher.open();
  await store.createTenant("a", "pro");
});

afterEach(async () => {
  await watcher.close();
  await tenants.close();
  await postgres.stop();
});

function ask(key: string): Promise<string> {
  return tenantOf(authenticator.authenticate(key));
}

/** For a token, which names its key. */
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

test("a database killed: known keys work for keyCacheMs, then 503, and all is well when it is back", async () => {
  const known = await tenants.store.createKey("a", "anon");
  const unseen = await tenants.store.createKey("a", "anon");
  live.push({ keyId: known.id, tenant: "a", collections: [], topics: [">"] });
  expect(await ask(known.key)).toBe("a");

  await postgres.kill("SIGKILL");
  nowMs += KEY_CACHE_MS - 1;
  expect([await ask(known.key), await askById(known.id)]).toEqual(["a", "a"]);
  expect(await ask(unseen.key)).toBe("key_store_unavailable");
  expect(await askById(unseen.id)).toBe("key_store_unavailable");
  nowMs += 1;
  expect(await ask(known.key)).toBe("key_store_unavailable");
  expect(await askById(known.id)).toBe("key_store_unavailable");

  await postgres.start();
  await until(async () => (await ask(known.key)) === "a");
  expect([await ask(unseen.key), await askById(unseen.id)]).toEqual(["a", "a"]);
  expect(revoked).toEqual([]);

  // Only an announcement can tell: the key is remembered, and the clock stands still.
  const deleted = new Set<string>();
  await until(
    async () => {
      const { id } = await tenants.store.createKey("a", "anon");
      deleted.add(id);
      live.push({ keyId: id, tenant: "a", collections: [], topics: [">"] });
      await tenants.store.deleteKey("a", id);
      return revoked.some(({ keyId = "" }) => deleted.has(keyId));
    },
    { intervalMs: 200, describe: "changes are announced again" },
  );
  await tenants.store.deleteKey("a", known.id);
  await until(() => revoked.some(({ keyId }) => keyId === known.id));
  expect(await ask(known.key)).toBe("key_revoked");
});

test("a connection that is lost in the middle of a start fails that start only", async () => {
  const holder = new Client({ connectionString: postgres.url });
  await holder.connect();
  await holder.query("select pg_advisory_lock($1)", [MIGRATION_LOCK]);
  const failure = openTenantDatabase({ url: postgres.url, log }).catch((error: unknown) => error);
  await until(
    async () => {
      const { rowCount } = await holder.query(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted",
      );
      return rowCount !== 0;
    },
    { describe: "a start that waits for another one" },
  );
  expect(await failure).toMatchObject({ code: "key_store_unavailable" });
  await holder.end();
  await (await openTenantDatabase({ url: postgres.url, log })).close();
});
