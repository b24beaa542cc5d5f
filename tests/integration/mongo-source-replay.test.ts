import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceEvent } from "../../packages/server/src/source/change-source.ts";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { openMongoSource, type TestDocument, type TestMongoSource } from "../support/mongo-source.ts";
import { until } from "../support/until.ts";

const KEY = { tenant: "a", collection: "todos" };

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

async function open(options: Partial<Parameters<typeof openMongoSource>[0]> = {}): Promise<TestMongoSource> {
  const source = await openMongoSource({ url: database.url, ...options });
  sources.push(source);
  return source;
}

/** Writes through a source, and gives what a client of it has seen. */
async function seenBefore(count: number): Promise<readonly SourceEvent[]> {
  const before = await open();
  await before.watch("a", "todos");
  await write(count);
  await before.sink.next("a", "todos", count);
  await before.source.close();
  return before.sink.events;
}

/** Inserts for two tenants in one transaction, and a few changes of single documents. */
async function write(count: number, from = 0): Promise<void> {
  const session = database.client.startSession();
  const todos = database.db.collection<TestDocument>("todos");
  await session.withTransaction(async () => {
    for (let n = from; n < from + count; n += 1) {
      await todos.insertOne({ _id: n, tenantId: "a" }, { session });
      await todos.insertOne({ _id: `b${String(n)}`, tenantId: "b" }, { session });
    }
  });
  await session.endSession();
}

const streamsOpened = ({ commands }: TestMongoSource): number =>
  commands.filter(({ commandName }) => commandName === "aggregate").length;

const idsOf = (events: readonly SourceEvent[] | undefined): readonly string[] | undefined =>
  events?.map(({ body }) => ("documentId" in body ? body.documentId : ""));

describe("changes from before a channel was watched", () => {
  it("are read again from a client's place, also inside a transaction, equal in every part", async () => {
    const seen = await seenBefore(6);
    const after = await open();
    await database.insert("todos", { _id: "x", tenantId: "a" });
    await database.db.collection<TestDocument>("todos").deleteOne({ _id: 3 });
    const joined = await after.watch("a", "todos");
    await database.insert("todos", { _id: "y", tenantId: "a" });
    await after.sink.next("a", "todos", 1);
    for (const [index, { position }] of seen.entries()) {
      const events = await after.replay(KEY, position, joined);
      expect(idsOf(events)).toEqual([...idsOf(seen.slice(index + 1))!, "x", "3"]);
      expect(events?.slice(0, -2)).toEqual(seen.slice(index + 1));
    }
    expect(after.source.epoch).toBe(sources[0]?.source.epoch);
  });

  it("are none for a client that has seen the last one, or that saw nothing yet", async () => {
    const before = await open();
    const joined = await before.watch("a", "todos");
    const after = await open();
    const position = await after.watch("a", "todos");
    expect(await after.replay(KEY, joined, position)).toEqual([]);
    await write(3);
    await before.sink.next("a", "todos", 3);
    const late = await open();
    const head = await late.watch("a", "todos");
    const last = before.sink.events.at(-1)?.position ?? "";
    expect(await late.replay(KEY, last, head)).toEqual([]);
    expect(idsOf(await late.replay(KEY, joined, head))).toEqual(["0", "1", "2"]);
    expect(idsOf(await late.replay(KEY, joined, last))).toEqual(["0", "1", "2"]);
  });

  it("are refused when the event at the client's place is another one, or none", async () => {
    const seen = await seenBefore(3);
    const after = await open();
    const joined = await after.watch("a", "todos");
    const second = seen[1]?.position ?? "";
    const otherDigest = second.slice(0, -8) + (second.endsWith("00000000") ? "11111111" : "00000000");
    expect(await after.replay(KEY, otherDigest, joined)).toBeUndefined();
    expect(after.source.contradicts(otherDigest, second)).toBe(true);
    expect(after.source.contradicts(second, second)).toBe(false);
    const noPlace = `${second.slice(0, 16)}00000009${second.slice(24)}`;
    expect(await after.replay(KEY, noPlace, joined)).toBeUndefined();
    expect(await after.replay(KEY, "garbage", joined)).toBeUndefined();
    expect(after.source.stats()).toMatchObject({ replays: 2, replaysRefused: 2 });
  });

  it("are refused beyond the bounds in age, number and size", async () => {
    const seen = await seenBefore(5);
    const first = seen[0]?.position ?? "";
    const few = await open({ settings: { maxReplayEvents: 3 } });
    expect(await few.replay(KEY, first, await few.watch("a", "todos"))).toBeUndefined();
    const small = await open({ settings: { maxReplayBytes: 40 } });
    expect(await small.replay(KEY, first, await small.watch("a", "todos"))).toBeUndefined();
    await delay(2_100);
    // Time passes for the server with its writes only.
    await database.insert("todos", { _id: "later", tenantId: "b" });
    const young = await open({ settings: { maxReplayAgeMs: 1_000 } });
    expect(await young.replay(KEY, first, await young.watch("a", "todos"))).toBeUndefined();
  });

  it("are refused across a drop of the collection", async () => {
    const [first] = await seenBefore(2);
    await database.db.dropCollection("todos");
    await database.recreateCollection("todos", true);
    const after = await open();
    const joined = await after.watch("a", "todos");
    expect(await after.replay(KEY, first?.position ?? "", joined)).toBeUndefined();
  });

  it("are refused across changes that were lost", async () => {
    const test = await open({ settings: { maxDocumentBytes: 500 } });
    const joined = await test.watch("a", "todos");
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await test.sink.next("a", "todos", 1);
    await database.insert("todos", { _id: 2, tenantId: "a", text: "x".repeat(600) });
    await database.insert("todos", { _id: 3, tenantId: "a" });
    await test.sink.next("a", "todos", 2);
    const last = test.sink.events.at(-1)?.position ?? "";
    expect(await test.replay(KEY, joined, last)).toBeUndefined();
  });

  it.each([
    ["share a stream", undefined],
    ["have too much together", 300],
  ])("are read for all tenants that come back together, also when they %s", async (_, maxReplayBytes) => {
    const tenants = Array.from({ length: 40 }, (_tenant, n) => `t${String(n)}`);
    const before = await open();
    const joined = await Promise.all(tenants.map((tenant) => before.watch(tenant, "todos")));
    for (let round = 0; round < 3; round += 1) {
      const documents = tenants.map((tenantId, n) => ({ _id: `${String(n)}-${String(round)}`, tenantId }));
      await database.insert("todos", ...documents);
    }
    await until(() => before.sink.events.length === 120);
    const after = await open(maxReplayBytes === undefined ? {} : { settings: { maxReplayBytes } });
    const heads = await Promise.all(tenants.map((tenant) => after.watch(tenant, "todos")));
    const opened = streamsOpened(after);
    const replays = await Promise.all(
      tenants.map((tenant, n) => {
        const first = before.sink.events.find(({ channel }) => channel.tenant === tenant);
        // Some have seen nothing yet, others one.
        const since = n % 2 === 0 ? joined[n] : first?.position;
        return after.replay({ tenant, collection: "todos" }, since ?? "", heads[n] ?? "");
      }),
    );
    for (const [n, events] of replays.entries()) {
      const rounds = n % 2 === 0 ? [0, 1, 2] : [1, 2];
      expect(idsOf(events)).toEqual(rounds.map((round) => `${String(n)}-${String(round)}`));
    }
    const streams = streamsOpened(after) - opened;
    if (maxReplayBytes === undefined) expect(streams).toBeLessThan(8);
    else expect(streams).toBeGreaterThan(10);
    expect(after.source.stats()).toMatchObject({ replays: 40, replaysRefused: 0 });
  });

  it("can be read for many clients at a time", async () => {
    const seen = await seenBefore(4);
    const after = await open({ settings: { maxConcurrentReplays: 3 } });
    const joined = await after.watch("a", "todos");
    const replays = await Promise.all(
      Array.from({ length: 20 }, (_, n) => after.replay(KEY, seen[n % 4]?.position ?? "", joined)),
    );
    for (const [n, events] of replays.entries()) expect(events).toHaveLength(3 - (n % 4));
  });
});
