import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  canStartMongo,
  createMongoDatabase,
  startMongo,
  withDatabase,
  type TestMongo,
  type TestMongoDatabase,
} from "../support/mongo.ts";
import { createDatabase } from "../support/postgres.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { startServerProcess, type ServerProcess } from "../support/server-child.ts";
import { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

describe.runIf(canStartMongo)("the database is killed", () => {
  let mongod: TestMongo;
  let mongo: TestMongoDatabase;
  let server: TestServer;
  let alice: TestTenant;

  beforeEach(async () => {
    mongod = await startMongo();
    mongo = await createMongoDatabase(mongod.url);
    await mongo.createCollection("notes", true);
    server = await startTestServer({ mongodbUrl: mongo.url });
    alice = await server.createTenant("alice");
  });

  afterEach(async () => {
    await server?.close();
    await mongo?.client.close();
    await mongod?.stop();
  });

  it("a subscriber stays connected and gets all that was acknowledged, once, without a reset", async () => {
    const client = await server.watch("notes", alice.anonKey);
    for (let n = 0; n < 20; n += 1) {
      await mongo.insert("notes", { tenantId: "alice", n });
      if (n % 10 !== 5) continue;
      await mongod.kill();
      await mongod.start();
    }
    await client.waitForMessages(20);
    expect(client.changes.map(({ document }) => document["n"])).toEqual(
      Array.from({ length: 20 }, (_, n) => n),
    );
    expect(client.named("reset")).toEqual([]);
  });

  it("is in /readyz while it lasts, and requests get 503", async () => {
    await mongod.kill();
    const { sources } = await until(async () => {
      const response = await fetch(`${server.url}/readyz`);
      const answer = await readinessOf(response);
      const isMongoAway = answer.sources.some(({ name, live }) => name === "mongodb" && !live);
      return response.status === 503 && isMongoAway && answer;
    });
    expect(sources.map(({ name, live }) => [name, live])).toEqual([
      ["postgres", true],
      ["mongodb", false],
    ]);
    expect(sources[1]?.detail).toMatch(/\w/);
    const refused = await server.subscribe({ collection: "notes" }, alice.anonKey);
    expect([refused.status, refused.problem.code]).toEqual([503, "source_unavailable"]);
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    await mongod.start();
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
    await server.watch("notes", alice.anonKey);
  });
});

describe.runIf(canStartMongo)("the database is not there at start", () => {
  it("other sources go on, and it joins when it comes", async () => {
    const mongod = await startMongo();
    const mongo = await createMongoDatabase(mongod.url);
    await mongo.createCollection("notes", true);
    await mongod.kill();
    const database = await createDatabase();
    await database.query("create table todos (id int primary key, tenant_id text)");
    const server = await startTestServer(
      { mongodbUrl: mongo.url, mongodb: { connectTimeoutMs: 500 } },
      database,
    );
    try {
      const alice = await server.createTenant("alice");
      const { sources } = await readinessOf(await fetch(`${server.url}/readyz`));
      expect(sources[1]).toMatchObject({ name: "mongodb", live: false, detail: expect.stringMatching(/\w/) });
      expect(JSON.stringify(sources)).not.toContain("\n");
      const todos = await server.watch("todos", alice.anonKey);
      await database.query("insert into todos values (1, 'alice')");
      await todos.waitForMessages(1);
      // Whether MongoDB has it is not known: a 404 would make a client give up.
      const unknown = await server.subscribe({ collection: "notes" }, alice.anonKey);
      expect([unknown.status, unknown.problem.code]).toEqual([503, "source_unavailable"]);
      await mongod.start();
      await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
      const notes = await server.watch("notes", alice.anonKey);
      await mongo.insert("notes", { tenantId: "alice", n: 1 });
      await notes.waitForMessages(1);
    } finally {
      await server.close();
      await database.drop();
      await mongo.client.close();
      await mongod.stop();
    }
  });
});

describe("MONGODB_URL alone, as a process", () => {
  let mongo: TestMongoDatabase;
  let server: ServerProcess;
  let alice: TestTenant;

  beforeAll(async () => {
    mongo = await createMongoDatabase();
    await mongo.createCollection("notes", true);
    server = await startServerProcess({ mongodbUrl: mongo.url });
    alice = await server.createTenant("alice");
  });

  afterAll(async () => {
    await server?.stop();
    await mongo?.drop();
  });

  /** Once the source is live. */
  function subscribe(cursor?: string): Promise<SseClient> {
    const resume = cursor === undefined ? {} : { "last-event-id": cursor };
    const url = `${server.url}/v1/events/subscribe?collection=notes`;
    return until(async () => {
      const client = await SseClient.open(url, { apikey: alice.anonKey, ...resume });
      return client.status === 200 && client;
    });
  }

  it("has one source and no demo; the embedded PostgreSQL has the keys", async () => {
    const client = await subscribe();
    await client.waitForEvent("ready");
    const { sources } = await readinessOf(await fetch(`${server.url}/readyz`));
    expect(sources).toEqual([{ name: "mongodb", live: true }]);
    expect(server.output()).not.toMatch(/demo|todos/);
    const todos = await SseClient.open(`${server.url}/v1/events/subscribe?collection=todos`, {
      apikey: alice.anonKey,
    });
    expect(todos.status).toBe(404);
    await mongo.insert("notes", { tenantId: "alice", n: 0 });
    await client.waitForMessages(1);
    client.close();
  });

  it("a cursor outlives kill -9 of our server", async () => {
    const first = await subscribe();
    await first.waitForEvent("ready");
    await mongo.insert("notes", { tenantId: "alice", n: 1 });
    await first.waitForMessages(1);
    await server.kill();
    await first.waitForEnd();
    await mongo.insert("notes", { tenantId: "alice", n: 2 });
    await server.start();
    const second = await subscribe(first.lastEventId);
    expect(JSON.parse((await second.waitForEvent("ready")).data)).toMatchObject({ resumed: true });
    await mongo.insert("notes", { tenantId: "alice", n: 3 });
    await second.waitForMessages(2);
    expect(second.changes.map(({ document }) => document["n"])).toEqual([2, 3]);
    second.close();
  });

  it("a server that is no database is not ready, and says so in one line", async () => {
    const elsewhere = withDatabase("mongodb://127.0.0.1:9/", "app");
    const unreachable = await startServerProcess({
      mongodbUrl: elsewhere,
      settings: { mongodb: { connectTimeoutMs: 500 } },
    });
    try {
      const response = await fetch(`${unreachable.url}/readyz`);
      expect(response.status).toBe(503);
      const [source] = (await readinessOf(response)).sources;
      expect(source?.detail).toMatch(/127\.0\.0\.1:9/);
    } finally {
      await unreachable.stop();
    }
  });
});

interface ReadinessAnswer {
  readonly sources: readonly { readonly name: string; readonly live: boolean; readonly detail?: string }[];
}

async function readinessOf(response: Response): Promise<ReadinessAnswer> {
  return JSON.parse(await response.text());
}
