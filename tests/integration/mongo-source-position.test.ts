import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { openMongoSource, type TestDocument, type TestMongoSource } from "../support/mongo-source.ts";
import { until } from "../support/until.ts";

const KEY = { tenant: "a", collection: "todos" };
const FAST = { clockSettleMs: 200, catalogPollIntervalMs: 50, maxAwaitTimeMs: 200 };

let database: TestMongoDatabase;
const sources: TestMongoSource[] = [];

beforeEach(async () => {
  database = await createMongoDatabase();
  await database.createCollection("todos", true);
});

afterEach(async () => {
  for (const { source } of sources.splice(0)) await source.close();
  await database.drop();
});

async function open(settings = FAST): Promise<TestMongoSource> {
  const source = await openMongoSource({ url: database.url, settings });
  sources.push(source);
  return source;
}

/** Resolves with where the channel stands, once that is beyond a position. */
async function positionBeyond({ source }: TestMongoSource, position: string): Promise<string> {
  return until(
    () => {
      const now = source.position(KEY);
      return now !== undefined && now > position && now;
    },
    { describe: "a position that has moved" },
  );
}

it("moves on while a tenant is quiet, its collection busy or not, and what comes is beyond", async () => {
  const test = await open();
  expect(test.source.position(KEY)).toBeUndefined();
  const joined = await test.watch("a", "todos");
  await test.watch("b", "todos");
  await database.insert("todos", { _id: 1, tenantId: "a" });
  await test.sink.next("a", "todos", 1);
  const first = test.sink.positions.at(-1) ?? "";
  expect(first > joined).toBe(true);
  const second = await positionBeyond(test, first);
  for (let n = 2; n < 40; n += 1) await database.insert("todos", { _id: n, tenantId: "b" });
  await test.sink.next("b", "todos", 38);
  const third = await positionBeyond(test, second);
  await database.insert("elsewhere", { _id: 1 });
  const fourth = await positionBeyond(test, third);
  await database.insert("todos", { _id: 100, tenantId: "a" });
  await until(() => test.sink.changes("a", "todos").length === 2);
  expect((test.sink.positions.at(-1) ?? "") > fourth).toBe(true);
  expect(test.sink.resets).toEqual([]);
});

it("is not known while the source is away, and of nobody who does not watch", async () => {
  const test = await open();
  await test.watch("a", "todos");
  await positionBeyond(test, "");
  expect(test.source.position({ tenant: "b", collection: "todos" })).toBeUndefined();
  expect(test.source.position({ tenant: "a", collection: "others" })).toBeUndefined();
  await test.source.close();
  expect(test.source.position(KEY)).toBeUndefined();
});

it("is never below what the log has, and never above what it gets, while many write", async () => {
  // Writes may take a while on a busy machine.
  const test = await open({ ...FAST, clockSettleMs: 2_000 });
  const tenants = ["a", "b"];
  for (const tenant of tenants) await test.watch(tenant, "todos");
  const stopping = new AbortController();
  const writers = [0, 1, 2].map((writer) => write(writer, stopping.signal));
  const told: { readonly tenant: string; readonly position: string; readonly after: number }[] = [];
  try {
    for (let round = 0; round < 200; round += 1) {
      for (const tenant of tenants) {
        const position = test.source.position({ tenant, collection: "todos" });
        if (position !== undefined) told.push({ tenant, position, after: test.sink.events.length });
      }
      // Others that join, and leave, open the stream again.
      if (round % 50 === 25) await test.watch(`other${String(round)}`, "todos");
      await delay(5);
    }
  } finally {
    stopping.abort();
    await Promise.all(writers);
  }
  expect(told.length).toBeGreaterThan(50);
  for (const { tenant, position, after } of told) {
    const own = test.sink.events.map((event, index) => ({ ...event, index }));
    const ofTenant = own.filter(({ channel }) => channel.tenant === tenant);
    const before = ofTenant.findLast(({ index }) => index < after)?.position ?? "";
    const next = ofTenant.find(({ index }) => index >= after)?.position ?? "g";
    expect([before <= position, position < next]).toEqual([true, true]);
  }
  expect(test.sink.resets).toEqual([]);
});

it("is where a client goes on that was told nothing else, at the next server too", async () => {
  const first = await open();
  const joined = await first.watch("a", "todos");
  const told = await positionBeyond(first, joined);
  await first.source.close();
  await database.insert("todos", { _id: 1, tenantId: "a" });
  const second = await open();
  const head = await second.watch("a", "todos");
  expect(told < head).toBe(true);
  const missed = await second.replay(KEY, told, head);
  expect(missed?.map(({ body }) => body)).toMatchObject([{ type: "insert", documentId: "1" }]);
  expect(await second.replay(KEY, missed?.[0]?.position ?? "", head)).toEqual([]);
});

/** Writes documents of both tenants, with pauses now and then. */
async function write(writer: number, signal: AbortSignal): Promise<void> {
  const todos = database.db.collection<TestDocument>("todos");
  for (let n = 0; !signal.aborted; n += 1) {
    const id = `${String(writer)}-${String(n)}`;
    await todos.insertMany(["a", "b"].map((tenantId) => ({ _id: `${id}-${tenantId}`, tenantId })));
    if (n % 20 === 19) await delay(60 * writer);
  }
}
