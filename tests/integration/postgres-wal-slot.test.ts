import { pino } from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DatabasePool } from "../../packages/server/src/source/postgres/database-pool.ts";
import { WAL_MIGRATIONS, WAL_SCHEMA_SET } from "../../packages/server/src/source/postgres/wal/schema.ts";
import { WAL_DEFAULTS } from "../../packages/server/src/source/postgres/wal/settings.ts";
import { SlotKeeper } from "../../packages/server/src/source/postgres/wal/slot.ts";
import { createApplicationDatabase } from "../support/postgres-source.ts";
import type { TestDatabase } from "../support/postgres.ts";

const log = pino({ level: "silent" });
const END_LSN = 0xffff_ffff_ffffn;
const identity = { systemId: "1", timeline: 1, endLsn: END_LSN };

let application: TestDatabase;
let database: DatabasePool;
let slots: SlotKeeper;

beforeEach(async () => {
  application = await createApplicationDatabase();
  const { url, name } = application;
  database = new DatabasePool({ url, applicationName: "test", connectTimeoutMs: 10_000, log });
  await database.migrate(WAL_SCHEMA_SET, WAL_MIGRATIONS);
  slots = new SlotKeeper(name, database, { ...WAL_DEFAULTS, slotTimeoutMs: 60_000 }, log);
});

afterEach(async () => {
  await slots.drop();
  await database.close();
  await application.drop();
});

const ensure = (keeper: SlotKeeper, reachedLsn = 0n, of = identity) =>
  keeper.ensure(of, reachedLsn, () => undefined);
const nothing = () => Promise.resolve();
const another = () => new SlotKeeper(slots.name, database, WAL_DEFAULTS, log);

it("has one generation as long as it is the same slot of the same history", async () => {
  const first = await ensure(slots);
  expect(first).toMatchObject({ generation: 1, isLost: false });
  expect(await ensure(slots, END_LSN)).toMatchObject({ generation: 1, isLost: false });
  expect(await ensure(another())).toMatchObject({ generation: 1, isLost: false });
});

it.each([
  ["was dropped", (): Promise<void> => slots.drop(), 0n, identity],
  ["is of another timeline", nothing, 0n, { ...identity, timeline: 2 }],
  ["is of another cluster", nothing, 0n, { ...identity, systemId: "2" }],
  ["is of a database that ends before what we have", nothing, END_LSN + 1n, identity],
])("has another one, and counts as lost once, when it %s", async (_what, change, reachedLsn, now) => {
  await ensure(slots);
  await change();
  expect(await ensure(slots, reachedLsn, now)).toMatchObject({ generation: 2, isLost: true });
  expect(await ensure(slots, 0n, now)).toMatchObject({ generation: 2, isLost: false });
  expect(await ensure(another(), 0n, now)).toMatchObject({ generation: 2, isLost: false });
});
