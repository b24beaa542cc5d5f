import { Long, ObjectId } from "mongodb";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createMongoDatabase, withDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import type { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

let mongo: TestMongoDatabase;
let database: TestDatabase;
let server: TestServer;
let alice: TestTenant;
let bob: TestTenant;

beforeAll(async () => {
  mongo = await createMongoDatabase();
  await mongo.createCollection("notes");
  database = await createDatabase();
  await database.query("create table todos (id int primary key, tenant_id text, title text)");
  server = await startTestServer({ mongodbUrl: mongo.url }, database);
  alice = await server.createTenant("alice");
  bob = await server.createTenant("bob");
});

afterAll(async () => {
  await server?.close();
  await database?.drop();
  await mongo?.drop();
});

describe("a collection of MongoDB", () => {
  it("delivers inserts, updates, replaces and deletes to its tenant, by the rules of JSON", async () => {
    const hers = await server.watch("notes", alice.anonKey);
    const his = await server.watch("notes", bob.anonKey);
    const id = new ObjectId();
    const notes = mongo.db.collection("notes");
    const createdAt = new Date("2026-01-02T03:04:05.678Z");
    await notes.insertOne({
      _id: id,
      tenantId: "alice",
      text: "one",
      createdAt,
      big: Long.fromString("9007199254740993"),
    });
    await hers.waitForMessages(1);
    await notes.updateOne({ _id: id }, { $set: { text: "two" }, $unset: { big: "" } });
    await hers.waitForMessages(2);
    await notes.replaceOne({ _id: id }, { tenantId: "alice", tags: [1, { a: null }] });
    await hers.waitForMessages(3);
    await notes.deleteOne({ _id: id });
    await hers.waitForMessages(4);
    const hex = id.toHexString();
    const created = { _id: hex, tenantId: "alice", text: "one", createdAt: "2026-01-02T03:04:05.678Z" };
    const replaced = { _id: hex, tenantId: "alice", tags: [1, { a: null }] };
    expect(hers.changes).toEqual([
      { type: "insert", documentId: hex, document: { ...created, big: "9007199254740993" } },
      { type: "update", documentId: hex, document: { ...created, text: "two" } },
      { type: "replace", documentId: hex, document: replaced },
      { type: "delete", documentId: hex, document: replaced },
    ]);
    await mongo.insert("notes", { tenantId: "bob", text: "end" });
    await his.waitForMessages(1);
    expect(his.changes.map(({ document }) => document["text"])).toEqual(["end"]);
  });

  it("is a collection as soon as it exists", async () => {
    const before = await server.subscribe({ collection: "later" }, alice.anonKey);
    expect([before.status, before.problem.code]).toEqual([404, "collection_not_found"]);
    await mongo.insert("later", { tenantId: "alice", n: 1 });
    const client = await until(async () => {
      const attempt = await server.subscribe({ collection: "later" }, alice.anonKey);
      return attempt.status === 200 && attempt;
    });
    await client.waitForEvent("ready");
    await mongo.insert("later", { tenantId: "alice", n: 2 });
    await client.waitForMessages(1);
    expect(client.changes.map(({ document }) => document["n"])).toEqual([2]);
  });

  it("resumes from a cursor without a gap or a repetition", async () => {
    const first = await server.watch("notes", alice.anonKey);
    await mongo.insert("notes", { tenantId: "alice", n: 1 });
    await first.waitForMessages(1);
    const cursor = first.lastEventId;
    first.close();
    await mongo.insert(
      "notes",
      { tenantId: "alice", n: 2 },
      { tenantId: "bob", n: 0 },
      { tenantId: "alice", n: 3 },
    );
    const second = await server.subscribe({ collection: "notes" }, alice.anonKey, {
      "last-event-id": cursor,
    });
    expect(JSON.parse((await second.waitForEvent("ready")).data)).toEqual({ cursor, resumed: true });
    await mongo.insert("notes", { tenantId: "alice", n: 4 });
    await second.waitForMessages(3);
    expect(second.changes.map(({ document }) => document["n"])).toEqual([2, 3, 4]);
  });

  it("ends its subscriptions with a reset when it is dropped", async () => {
    await mongo.createCollection("shortlived");
    const client = await until(async () => {
      const attempt = await server.subscribe({ collection: "shortlived" }, alice.anonKey);
      return attempt.status === 200 && attempt;
    });
    await client.waitForEvent("ready");
    await mongo.db.collection("shortlived").drop();
    await client.waitForEvent("reset");
    await client.waitForEnd();
  });
});

describe("beside PostgreSQL, in one server", () => {
  it("both deliver, each by its own cursors", async () => {
    const todos = await server.watch("todos", alice.anonKey);
    const notes = await server.watch("notes", alice.anonKey);
    await database.query("insert into todos values (1, 'alice', 'buy milk')");
    await mongo.insert("notes", { _id: 1, tenantId: "alice" });
    await todos.waitForMessages(1);
    await notes.waitForMessages(1);
    expect(todos.changes).toEqual([
      { type: "insert", documentId: "1", document: { id: 1, tenant_id: "alice", title: "buy milk" } },
    ]);
    expect(notes.changes).toEqual([
      { type: "insert", documentId: "1", document: { _id: 1, tenantId: "alice" } },
    ]);
    const crossed = await server.subscribe({ collection: "notes" }, alice.anonKey, {
      "last-event-id": todos.lastEventId,
    });
    await crossed.waitForEvent("ready");
    expect(crossed.events.map(({ event }) => event)).toEqual(["reset", "ready"]);
  });

  it("is in /readyz and in the metrics", async () => {
    const ready = async (): Promise<unknown> => (await fetch(`${server.url}/readyz`)).json();
    await expect.poll(ready).toEqual({
      status: "ready",
      sources: [
        { name: "postgres", live: true },
        { name: "mongodb", live: true },
      ],
    });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('paperdb_source_live{source="mongodb"} 1');
    expect(metrics).toContain('paperdb_collections_without_deletes{source="mongodb"} 0');
    expect(metrics).not.toContain('paperdb_notification_queue_usage{source="mongodb"}');
  });

  it("a name that both have is refused at start, and goes to the first one later", async () => {
    const other = await createMongoDatabase();
    await other.createCollection("todos");
    await expect(startTestServer({ mongodbUrl: other.url }, database)).rejects.toThrow(
      /two of them have a collection "todos"/,
    );
    await other.drop();
    await mongo.createCollection("shared");
    await database.query("create table shared (id int primary key, tenant_id text)");
    const client = await until(async () => {
      const attempt = await server.subscribe({ collection: "shared" }, alice.anonKey);
      if (attempt.status !== 200) return undefined;
      const { data } = await attempt.waitForEvent("ready");
      const { cursor } = JSON.parse(data);
      return sourceOf(cursor) === "postgres" && attempt;
    });
    await database.query("insert into shared values (1, 'alice')");
    await client.waitForMessages(1);
  });
});

describe("a configured collection", () => {
  let configured: TestServer | undefined;

  afterEach(async () => {
    await configured?.close();
  });

  it("has its public name and tenant field, and never its hidden fields", async () => {
    await mongo.createCollection("raw", true);
    const collections = { shown: { collection: "raw", tenantField: "org.id", hide: ["secret", "org.plan"] } };
    configured = await startTestServer({ sources: [{ kind: "mongodb", url: mongo.url, collections }] });
    const org = await configured.createTenant("7");
    const client = await configured.watch("shown", org.anonKey);
    const raw = mongo.db.collection<{ _id: number }>("raw");
    const document = { _id: 1, org: { id: 7, plan: "x" }, secret: "s", n: 1 };
    await raw.insertOne(document);
    await raw.deleteOne({ _id: document._id });
    await client.waitForMessages(2);
    expect(client.changes).toEqual(
      ["insert", "delete"].map((type) => ({
        type,
        documentId: "1",
        document: { _id: 1, org: { id: 7 }, n: 1 },
      })),
    );
    const unlisted = await configured.subscribe({ collection: "raw" }, org.anonKey);
    expect(unlisted.status).toBe(404);
  });
});

describe("our server is started again", () => {
  const settings = { mongodbUrl: "" };

  async function restart(running: TestServer, extra: object = {}): Promise<TestServer> {
    await running.close();
    return startTestServer({ ...settings, mongodbUrl: mongo.url, ...extra }, running.database);
  }

  it("a client's cursor still works, also on a stream that is open at now", async () => {
    const keys = await createDatabase();
    let running = await startTestServer({ mongodbUrl: mongo.url }, keys);
    try {
      const [one, two] = [await running.createTenant("alice"), await running.createTenant("bob")];
      const cursorOf = async (tenant: TestTenant): Promise<string> => {
        const client = await running.watch("notes", tenant.anonKey);
        await mongo.insert("notes", { tenantId: tenant.id, n: 0 });
        await client.waitForMessages(1);
        return client.lastEventId;
      };
      const cursors = [await cursorOf(one), await cursorOf(two)];
      await mongo.insert("notes", { tenantId: "alice", n: 1 }, { tenantId: "bob", n: 1 });
      running = await restart(running);
      await mongo.insert("notes", { tenantId: "alice", n: 2 });
      // The third tenant opens the stream at now; the others come with older cursors.
      const other = await running.createTenant("carol");
      await running.watch("notes", other.anonKey);
      await mongo.insert("notes", { tenantId: "bob", n: 2 });
      const resume = async (tenant: TestTenant, cursor: string): Promise<SseClient> => {
        const client = await running.subscribe({ collection: "notes" }, tenant.anonKey, {
          "last-event-id": cursor,
        });
        expect(JSON.parse((await client.waitForEvent("ready")).data)).toEqual({ cursor, resumed: true });
        return client;
      };
      const clients = [await resume(one, cursors[0] ?? ""), await resume(two, cursors[1] ?? "")];
      await mongo.insert("notes", { tenantId: "alice", n: 3 }, { tenantId: "bob", n: 3 });
      for (const client of clients) {
        await client.waitForMessages(3);
        expect(client.changes.map(({ document }) => document["n"])).toEqual([1, 2, 3]);
      }
    } finally {
      await running.close();
      await keys.drop();
    }
  });

  it("a cursor older than the history is a reset, and so is one of another database", async () => {
    const keys = await createDatabase();
    let running = await startTestServer({ mongodbUrl: mongo.url }, keys);
    try {
      const tenant = await running.createTenant("alice");
      const client = await running.watch("notes", tenant.anonKey);
      await mongo.insert("notes", { tenantId: "alice", n: 0 });
      await client.waitForMessages(1);
      const cursor = client.lastEventId;
      const receivedAtMs = Date.now();
      await mongo.insert("notes", { tenantId: "alice", n: 1 });
      // Cluster times are whole seconds.
      await until(() => Date.now() > receivedAtMs + 3000);
      running = await restart(running, { history: { maxAgeMs: 1000 } });
      const late = await running.subscribe({ collection: "notes" }, tenant.anonKey, {
        "last-event-id": cursor,
      });
      await late.waitForEvent("ready");
      expect(late.events.map(({ event }) => event)).toEqual(["reset", "ready"]);
      const elsewhere = await createMongoDatabase();
      await elsewhere.createCollection("notes");
      running = await restart(running, { mongodbUrl: elsewhere.url });
      const moved = await running.subscribe({ collection: "notes" }, tenant.anonKey, {
        "last-event-id": cursor,
      });
      await moved.waitForEvent("ready");
      expect(moved.events.map(({ event }) => event)).toEqual(["reset", "ready"]);
      await elsewhere.drop();
    } finally {
      await running.close();
      await keys.drop();
    }
  });
});

describe("what is refused at start, in one sentence", () => {
  it("a URL without a database", async () => {
    await expect(startTestServer({ mongodbUrl: withDatabase(mongo.url, "") }, database)).rejects.toThrow(
      /names no database: add it as the path/,
    );
  });
});

/** Cursors are opaque to clients; this test looks inside, to know which source answered. */
function sourceOf(cursor: string): string {
  return Buffer.from(cursor.split(".")[0] ?? "", "base64url").toString();
}
