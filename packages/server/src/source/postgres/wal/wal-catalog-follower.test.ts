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
  let revision = "";
  let publicationReadings = 0;
  /** Each told what is read, and at which revision: another one, unless it is said. */
  const readings: ((tables: readonly CapturedTable[], revision?: string) => void)[] = [];
  const refresh = () =>
    new Promise<Collections>((resolve) => {
      readings.push((tables, read = String(readings.length)) => {
        revision = read;
        resolve({ tables: new Map(tables.map((table) => [table.collection, table])), unusable: new Map() });
      });
    });
  // What of its neighbours a reconciliation asks.
  const neighbours = {
    catalog: {
      refresh,
      get revision() {
        return revision;
      },
    },
    publication: {
      isRight: () => true,
      fetchContents: () => {
        publicationReadings += 1;
        const enrollment = new Map([4, 5].map((oid) => [oid, "id"]));
        return Promise.resolve({ options: undefined, enrollment, unwritable: [] });
      },
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
  return { follower, watches, watch, told, readings, publicationReadings: () => publicationReadings };
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

it("reads nothing else while the catalog has the same revision, but looks at what came to be watched", async () => {
  const { follower, publicationReadings, readings, told, watch, watches } = setUp();
  const tables = [tableOf("todo", "1")];
  const reconcile = async (revision: string) => {
    const number = readings.length;
    const reconciled = follower.reconcile();
    while (readings[number] === undefined) await Promise.resolve();
    readings[number](tables, revision);
    await reconciled;
  };
  watch(tableOf("todo", "1"));
  await reconcile("1");
  await reconcile("1");
  expect(publicationReadings()).toBe(1);
  // Their changes could not be made events.
  for (const watched of watches.collections()) watched.isBroken = true;
  watch(tableOf("notes", "2"));
  await reconcile("1");
  expect(told).toEqual(["todo: collection_changed", "notes: released", "notes: dropped"]);
  expect(publicationReadings()).toBe(1);
  await reconcile("2");
  expect(publicationReadings()).toBe(2);
});
