import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  canStartMongo,
  createMongoDatabase,
  startMongo,
  type TestMongo,
  type TestMongoDatabase,
} from "../support/mongo.ts";
import { openMongoSource, type TestDocument, type TestMongoSource } from "../support/mongo-source.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { PatientState, readAll, takeSnapshot } from "../support/snapshots.ts";
import type { SseClient } from "../support/sse-client.ts";
import { sseState } from "../support/sse-state.ts";
import { until } from "../support/until.ts";

const FAST = { connectTimeoutMs: 1_000, catalogPollIntervalMs: 100 };
const KEY = { tenant: "a", collection: "notes" };

let mongod: TestMongo;
let mongo: TestMongoDatabase;

/** Notes of rooms 0 and 1, in turn. */
const notes = (count: number) =>
  Array.from({ length: count }, (_, _id) => ({ _id, tenantId: "a", room: _id % 2, text: "x".repeat(200) }));

async function fail(commands: readonly string[], errorCode: number, times: number): Promise<void> {
  await mongo.client.db("admin").command({
    configureFailPoint: "failCommand",
    mode: { times },
    data: { failCommands: commands, errorCode },
  });
}

beforeAll(async () => {
  if (canStartMongo) mongod = await startMongo({ args: ["--enable-test-commands"] });
});

afterAll(() => mongod?.stop());

describe.runIf(canStartMongo)("a snapshot that the server does not give", () => {
  let source: TestMongoSource;

  beforeEach(async () => {
    mongo = await createMongoDatabase(mongod.url);
    await mongo.createCollection("notes", true);
    await mongo.insert("notes", ...notes(30));
    const settings = { batchRows: 5, batchBytes: 1_500 };
    source = await openMongoSource({ url: mongo.url, settings: FAST, snapshots: settings });
    // It may take longer to answer than an attempt to reach it.
    await until(() => source.source.state().live);
    await source.watch("a", "notes");
    // What the server can do is known from now on.
    await readAll(await takeSnapshot(source.source, KEY));
  });

  afterEach(async () => {
    await source?.source.close();
    await mongo?.client.close();
  });

  it("for a moment, is taken a moment later (246)", async () => {
    await fail(["find"], 246, 2);
    expect(await readAll(await takeSnapshot(source.source, KEY))).toHaveLength(30);
    expect(source.commands.filter(({ commandName }) => commandName === "find").length).toBeGreaterThan(4);
  });

  it.each([
    ["the user may not read", 13, { code: "collection_not_usable", retryable: false }],
    ["it is too old", 72, { code: "snapshot_not_supported", retryable: false }],
    ["it is shutting down", 91, { code: "source_unavailable", retryable: true }],
    ["it does not know why", 1, { code: "source_unavailable", retryable: true }],
  ])("because %s, says so", async (_, errorCode, expected) => {
    await fail(["find"], errorCode, 1);
    await expect(takeSnapshot(source.source, KEY)).rejects.toMatchObject(expected);
    expect(await readAll(await takeSnapshot(source.source, KEY))).toHaveLength(30);
  });

  it("to its end, because it was killed, can be tried again", async () => {
    const { batches } = await takeSnapshot(source.source, KEY);
    const read: string[] = [];
    const reading = (async () => {
      for await (const batch of batches) {
        read.push(...batch.map(({ documentId }) => documentId));
        if (read.length === 5) await mongod.kill();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "source_unavailable", retryable: true });
    expect(read).toHaveLength(5);
    await mongod.start();
    // The source may not have noticed yet that the database is back, or that it was gone.
    const again = await until(() =>
      takeSnapshot(source.source, KEY)
        .then(readAll)
        .catch(() => undefined),
    );
    expect(again).toHaveLength(30);
  });
});

describe.runIf(canStartMongo)("a client with a snapshot and a filter", () => {
  let server: TestServer;
  let tenant: TestTenant;

  beforeEach(async () => {
    mongo = await createMongoDatabase(mongod.url);
    await mongo.createCollection("notes", true);
    await mongo.insert("notes", ...notes(20));
    server = await startTestServer({
      mongodbUrl: mongo.url,
      mongodb: { ...FAST, connectTimeoutMs: 1_000 },
      snapshots: { batchRows: 5 },
    });
    tenant = await server.createTenant("a");
  });

  afterEach(async () => {
    await server?.close();
    await mongo?.client.close();
  });

  /** Once the server has an answer for it: it may not know yet that the database was gone, or is back. */
  function subscribe(query: object = {}, headers: Record<string, string> = {}): Promise<SseClient> {
    const where = JSON.stringify({ room: 1 });
    const asked = { collection: "notes", snapshot: "true", where, ...query };
    return until(
      async () => {
        const client = await server.subscribe(asked, tenant.anonKey, headers);
        return client.status === 200 && client;
      },
      { describe: "a subscription" },
    );
  }

  const stateOf = (client: SseClient): PatientState => sseState(client, () => new PatientState());
  const collection = () => mongo.db.collection<TestDocument>("notes");

  /** Waits until the client holds what a query finds. @param comesBack - also one that was told to come again. */
  async function settled(client: SseClient, comesBack = false): Promise<void> {
    let current = client;
    const stored = await collection().find({ tenantId: "a", room: 1 }).toArray();
    const expected = stored.map((document) => JSON.stringify(document)).toSorted();
    const held = (): string[] =>
      [...stateOf(current).documents.values()].map((document) => JSON.stringify(document)).toSorted();
    await until(
      async () => {
        if (comesBack && current.ended) current = await subscribe();
        return JSON.stringify(held()) === JSON.stringify(expected);
      },
      { describe: () => `${String(expected.length)} documents, got ${String(held().length)}` },
    );
  }

  /** Changes notes, some of which leave the room or come into it. */
  async function change(from: number): Promise<void> {
    await mongo.insert(
      "notes",
      { _id: from, tenantId: "a", room: 1 },
      { _id: from + 1, tenantId: "a", room: 0 },
    );
    await collection().updateOne({ _id: from + 1 }, { $set: { room: 1 } });
    await collection().updateOne({ _id: 1 }, { $set: { room: 0, from } });
    await collection().updateOne({ _id: 2 }, { $set: { room: 1, from } });
    await collection().deleteOne({ _id: from });
  }

  it("is reset when the oplog has rolled on, and gets another one", async () => {
    const client = await subscribe();
    const ready = await client.waitForEvent("ready");
    await change(100);
    await settled(client);
    await fail(["getMore"], 286, 1);
    await client.waitForEvent("reset");
    await client.waitForEvent("ready", 2);
    await change(200);
    await settled(client);
    expect(client.named("reset").map(({ data }) => JSON.parse(data))).toEqual([{ reason: "history_lost" }]);
    const [, ...after] = client.events.slice(client.events.findIndex(({ event }) => event === "reset"));
    expect(after[0]?.event).toBe("snapshot");
    // One that lost its connection now, as EventSource, holds nothing that it could go on from.
    const [reset] = client.named("reset");
    const again = await subscribe({ cursor: ready.id ?? "" }, { "last-event-id": reset?.id ?? "" });
    await again.waitForEvent("ready");
    expect(again.events[0]).toMatchObject({ event: "reset", data: '{"reason":"cursor_not_usable"}' });
    await settled(again);
  });

  it("holds what is stored in the end, whenever the database was killed", async () => {
    const clients = [await subscribe()];
    for (let round = 0; round < 3; round += 1) {
      await mongod.kill();
      await mongod.start();
      await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
      await change(100 + 10 * round);
      clients.push(await subscribe());
    }
    // After a long outage a client is told to come again.
    for (const client of clients) await settled(client, true);
  });

  it.each([
    ["dropped", () => mongo.db.dropCollection("notes")],
    ["renamed", () => mongo.db.renameCollection("notes", "old_notes")],
    ["gone with its database", () => mongo.db.dropDatabase()],
  ])("is told that the collection was %s, and begins anew with the next one", async (_, end) => {
    const client = await subscribe();
    const ready = await client.waitForEvent("ready");
    await end();
    const reset = await client.waitForEvent("reset");
    expect(JSON.parse(reset.data)).toEqual({ reason: "collection_dropped" });
    await client.waitForEnd();
    await mongo.recreateCollection("notes", true);
    await mongo.insert("notes", { _id: 1, tenantId: "a", room: 1 }, { _id: 2, tenantId: "a", room: 0 });
    const next = await subscribe({ cursor: ready.id ?? "" });
    await next.waitForEvent("ready");
    await change(100);
    await settled(next);
    expect(next.events.slice(0, 3).map(({ event }) => event)).toEqual(["reset", "snapshot", "ready"]);
  });
});
