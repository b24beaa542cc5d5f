import { pino } from "pino";
import { expect, it } from "vitest";
import type { Collections } from "../collections.ts";
import type { CapturedTable } from "../table.ts";
import { WAL_DEFAULTS } from "./settings.ts";
import { WalCatalogFollower } from "./wal-catalog-follower.ts";
import type { WalCatalogFollowerOptions } from "./wal-catalog-follower.ts";
import { WalWatches } from "./wal-watches.ts";

const tableOf = (collection: string, shape: string): CapturedTable => ({
  collection,
  oid: collection.length,
  name: { schema: "public", table: collection },
  tenantColumn: "tenant_id",
  primaryKey: ["id"],
  hidden: new Set(),
  virtualColumns: [],
  shape,
  partitions: [],
  attachments: "[]",
  triggers: [],
});

/** A follower of a catalog that is read when the test says so. */
function setUp() {
  const watches = new WalWatches();
  const told: string[] = [];
  const readings: ((tables: readonly CapturedTable[]) => void)[] = [];
  const refresh = () =>
    new Promise<Collections>((resolve) => {
      readings.push((tables) => {
        resolve({ tables: new Map(tables.map((table) => [table.collection, table])), unusable: new Map() });
      });
    });
  // What of its neighbours a reconciliation asks.
  const neighbours = {
    catalog: { refresh },
    publication: {
      ensure: () => Promise.resolve(false),
      fetchEnrollment: () => Promise.resolve(new Map([4, 5].map((oid) => [oid, "id"]))),
    },
    enroller: { outlastWriters: () => Promise.resolve() },
    capturer: {
      forget: () => undefined,
      forgetMissing: () => undefined,
      whyNotEncodable: () => Promise.resolve(undefined),
    },
    barriers: { pass: () => Promise.resolve() },
    grantedColumns: { fetchChanged: () => Promise.resolve(new Set()) },
    types: { refresh: () => Promise.resolve(new Set()) },
  } as unknown as WalCatalogFollowerOptions;
  const follower = new WalCatalogFollower({
    ...neighbours,
    watches,
    settings: WAL_DEFAULTS,
    log: pino({ level: "silent" }),
    isLive: () => true,
    lost: ({ name }, reason) => Promise.resolve(void told.push(`${name}: ${reason}`)),
    released: (name) => Promise.resolve(void told.push(`${name}: released`)),
    dropped: (name) => void told.push(`${name}: dropped`),
  });
  const watch = (table: CapturedTable) => {
    watches.add({ tenant: "a", collection: table.collection }, table, "");
  };
  return { follower, watches, watch, told, readings };
}

it("says nothing of what came to be watched after the catalog began to be read", async () => {
  const { follower, readings, told, watch, watches } = setUp();
  watch(tableOf("todo", "1"));
  const reconciled = follower.reconcile();
  await Promise.resolve();
  watch(tableOf("notes", "2"));
  readings[0]?.([tableOf("todo", "1")]);
  await reconciled;
  expect(told).toEqual([]);
  expect(watches.has({ tenant: "a", collection: "notes" })).toBe(true);
});

it("resets a table that has changed once, however many look at the same time", async () => {
  const { follower, readings, told, watch } = setUp();
  watch(tableOf("todo", "1"));
  const both = Promise.all([follower.reconcile(), follower.reconcile()]);
  for (let reading = 0; reading < 2; reading++) {
    while (readings[reading] === undefined) await Promise.resolve();
    readings[reading]?.([tableOf("todo", "2")]);
  }
  await both;
  expect(told).toEqual(["todo: collection_changed"]);
});
