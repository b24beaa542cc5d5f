import type { Document } from "mongodb";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { parseFilter } from "../../packages/server/src/filter/parse-filter.ts";
import { pinsReads } from "../../packages/server/src/source/mongodb/snapshot-cursor.ts";
import { createMongoDatabase } from "../support/mongo.ts";
import type { TestMongoDatabase } from "../support/mongo.ts";
import { openMongoSource } from "../support/mongo-source.ts";
import type { TestMongoSource } from "../support/mongo-source.ts";
import { parseObject } from "../support/recording-sink.ts";
import { eventsAfter, PatientState, readAll, StrictState, takeSnapshot } from "../support/snapshots.ts";
import { until } from "../support/until.ts";

let database: TestMongoDatabase;
let test: TestMongoSource;

beforeAll(async () => {
  database = await createMongoDatabase();
  test = await openMongoSource({ url: database.url, snapshots: { batchRows: 10, batchBytes: 10_000 } });
});

afterAll(async () => {
  await test.source.close();
  await database.drop();
});

/** Makes a collection whose changes tell everything, and waits until the source knows it. */
async function create(name: string, ...documents: readonly Document[]): Promise<void> {
  await database.createCollection(name, true);
  if (documents.length > 0) await database.insert(name, ...documents);
  await until(() => test.source.collections().some((collection) => collection.name === name));
}

const key = (tenant: string, collection: string) => ({ tenant, collection });

it("has the tenant's documents, in batches, with the JSON of the events", async () => {
  const documents = Array.from({ length: 25 }, (_, id) => ({
    _id: id,
    tenantId: "a",
    at: new Date(id),
    n: id / 3,
  }));
  await create("batches", ...documents, { _id: 100, tenantId: "b" }, { _id: 101, tenantId: ["a"] });
  await test.watch("a", "batches");
  const taken = await takeSnapshot(test.source, key("a", "batches"));
  const sizes: number[] = [];
  const read = new Map<string, string>();
  for await (const batch of taken.batches) {
    sizes.push(batch.length);
    for (const { documentId, document } of batch) read.set(documentId, document);
  }
  expect(Math.max(...sizes)).toBeLessThanOrEqual(10);
  expect(read.size).toBe(25);
  await database.db.collection("batches").updateMany({ tenantId: "a" }, { $set: { seen: true } });
  for (const { id, document } of await test.sink.next("a", "batches", 25)) {
    expect({ ...parseObject(read.get(id) ?? ""), seen: true }).toEqual(document);
  }
});

it("ends a batch at its bytes", async () => {
  const documents = [1, 2, 3, 4].map((id) => ({ _id: id, tenantId: "a", body: "x".repeat(4_000) }));
  await create("sizes", ...documents);
  await test.watch("a", "sizes");
  const { batches } = await takeSnapshot(test.source, key("a", "sizes"));
  const sizes: number[] = [];
  for await (const batch of batches) sizes.push(batch.length);
  expect(sizes).toEqual([2, 2]);
});

it("has no hidden fields, and every document that a filter wants", async () => {
  await create("hiding");
  const source = await openMongoSource({
    url: database.url,
    collections: { shown: { collection: "hiding", hide: ["secret", "deep.secret"] } },
  });
  try {
    await database.insert("hiding", { tenantId: "a", secret: 1, deep: { secret: 2, open: 3 } });
    await source.watch("a", "shown");
    const filter = parseFilter({ secret: null }, "where");
    const taken = await takeSnapshot(source.source, key("a", "shown"), undefined, filter);
    const [read] = await readAll(taken);
    expect(parseObject(read?.document ?? "")).toMatchObject({ tenantId: "a", deep: { open: 3 } });
    expect(read?.document).not.toContain("secret");
  } finally {
    await source.source.close();
  }
});

it("has what is hidden apart where a grant may ask for it, and only what the grant finds", async () => {
  await create("granted");
  const source = await openMongoSource({
    url: database.url,
    collections: { granted: { collection: "granted", hide: ["owner", "deep.secret"] } },
  });
  try {
    const deep = { secret: 2, open: 3 };
    const documents = ["ann", "bob", "ann"].map((owner, _id) => ({ _id, tenantId: "a", owner, deep }));
    await database.insert("granted", ...documents, { _id: 9, tenantId: "b", owner: "ann", deep });
    await source.watch("a", "granted");
    const granted = parseFilter({ owner: "ann" }, "filters");
    // A client's filter is none of the query's business here: it sees the owner as missing.
    const wanted = parseFilter({ owner: null }, "where");
    const narrowing = { id: "1", wanted, granted };
    const signal = new AbortController().signal;
    const taken = await source.source.snapshot(key("a", "granted"), narrowing, signal);
    const read = await readAll(taken);
    expect(read.map(({ documentId }) => documentId).toSorted()).toEqual(["0", "2"]);
    for (const { documentId, document, hidden = "" } of read) {
      expect(parseObject(document)).toEqual({ _id: Number(documentId), tenantId: "a", deep: { open: 3 } });
      expect(parseObject(hidden)).toEqual({ owner: "ann", deep });
    }
  } finally {
    await source.source.close();
  }
});

it("reads only what a filter may want", async () => {
  const documents = Array.from({ length: 50 }, (_, id) => ({ _id: id, tenantId: "a", room: String(id % 5) }));
  await create("rooms", ...documents);
  await test.watch("a", "rooms");
  const filter = parseFilter({ room: { $in: ["1", "2"] }, _id: { $gte: 10 } }, "where");
  const taken = await takeSnapshot(test.source, key("a", "rooms"), undefined, filter);
  const read = await readAll(taken);
  expect(read).toHaveLength(16);
  expect(read.every(({ document }) => filter.matches(JSON.parse(document) as JsonValue))).toBe(true);
});

it.each([
  // Events of updates have documents that a server without post-images looks up later, so that they may skip changes.
  ["busy", write],
  ["whole", writeWhole],
])("makes state and changes meet exactly, while many write and many ask: %s", async (name, writeSome) => {
  await create(name);
  for (const tenant of ["a", "b"]) await test.watch(tenant, name);
  const isPinned = await pinsReads(database.db, name);
  const isStrict = isPinned || writeSome === writeWhole;
  const stop = new AbortController();
  const writers = [0, 1, 2].map((writer) => writeSome(writer, stop.signal));
  const checks: Check[] = [];
  const written = (): number => test.sink.changes("a", name).length;
  try {
    for (let round = 0; round < 15 || written() <= 30; round++) {
      const taken = ["a", "b"].map((tenant) => check(key(tenant, name), isStrict));
      checks.push(...(await Promise.all(taken)));
    }
  } finally {
    stop.abort();
    await Promise.all(writers);
  }
  for (const tenant of ["a", "b"]) {
    await database.insert(name, { _id: `last of ${tenant}`, tenantId: tenant, n: 1 });
    await until(() => test.sink.changes(tenant, name).some(({ id }) => id === `last of ${tenant}`));
  }
  const stored = await database.db.collection(name).find({}).toArray();
  for (const { tenant, ...taken } of checks) {
    const expected = stored.filter((document) => document["tenantId"] === tenant);
    const { documents } = taken.finish();
    expect(documents.size).toBe(expected.length);
    for (const { _id: id, n } of expected) expect(documents.get(String(id))?.["n"]).toBe(n);
  }
});

it("does not come to a seam that the stream has not reached, and can be given up", async () => {
  await create("left", { _id: 1, tenantId: "a" });
  await test.watch("a", "left");
  const leave = new AbortController();
  const taken = await takeSnapshot(test.source, key("a", "left"), leave.signal);
  leave.abort(new Error("gone"));
  await expect(readAll(taken)).rejects.toThrow("gone");
});

it("is not one of a collection that nobody watches", async () => {
  await create("alone");
  await expect(takeSnapshot(test.source, key("a", "alone"))).rejects.toMatchObject({
    code: "source_unavailable",
  });
});

interface Check {
  readonly tenant: string;
  /** What a client holds after all that has followed. */
  finish(): StrictState;
}

/** Takes a snapshot now. */
async function check(channel: ReturnType<typeof key>, isStrict: boolean): Promise<Check> {
  const taken = await takeSnapshot(test.source, channel);
  const state = isStrict ? new StrictState() : new PatientState();
  state.add(await readAll(taken));
  const seam = await taken.seam();
  const finish = (): StrictState => {
    for (const event of eventsAfter(test.sink, channel, taken, seam)) state.apply(event);
    return state;
  };
  return { tenant: channel.tenant, finish };
}

/** Changes documents of its own, each one's `n` growing with each. */
async function write(writer: number, signal: AbortSignal): Promise<void> {
  const collection = database.db.collection<{ _id: number; tenantId: string; n: number }>("busy");
  const random = (count: number): number => Math.floor(Math.random() * count);
  while (!signal.aborted) {
    const _id = writer * 100 + random(20);
    const tenantId = ["a", "b", "c"][random(3)] ?? "a";
    switch (random(4)) {
      case 0:
        await collection.updateOne({ _id }, { $setOnInsert: { tenantId, n: 1 } }, { upsert: true });
        break;
      case 1:
        await collection.updateOne({ _id }, { $inc: { n: 1 } });
        break;
      case 2:
        await collection.updateOne({ _id }, { $inc: { n: 1 }, $set: { tenantId } });
        break;
      default:
        await collection.deleteOne({ _id });
    }
  }
}

/** As {@link write}, whole documents at a time. */
async function writeWhole(writer: number, signal: AbortSignal): Promise<void> {
  const collection = database.db.collection<{ _id: number; tenantId: string; n: number }>("whole");
  const random = (count: number): number => Math.floor(Math.random() * count);
  const held = new Map<number, { tenantId: string; n: number }>();
  while (!signal.aborted) {
    const _id = writer * 100 + random(20);
    const before = held.get(_id);
    if (before !== undefined && random(3) === 0) {
      await collection.deleteOne({ _id });
      held.delete(_id);
      continue;
    }
    const stays = before !== undefined && random(3) > 0;
    const tenantId = stays ? before.tenantId : (["a", "b", "c"][random(3)] ?? "a");
    const after = { tenantId, n: (before?.n ?? 0) + 1 };
    if (before === undefined) await collection.insertOne({ _id, ...after });
    else await collection.replaceOne({ _id }, after);
    held.set(_id, after);
  }
}
