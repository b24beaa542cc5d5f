import { ObjectId } from "mongodb";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { mintToken } from "../support/realtime-token.ts";
import { WebSocketClient } from "../support/websocket-client.ts";

let mongo: TestMongoDatabase;
let database: TestDatabase;
let server: TestServer;
let alice: TestTenant;
const clients: WebSocketClient[] = [];

beforeAll(async () => {
  mongo = await createMongoDatabase();
  await mongo.createCollection("notes");
  database = await createDatabase();
  await database.query("create table todos (id int primary key, tenant_id text)");
  server = await startTestServer({ mongodbUrl: mongo.url }, database);
  alice = await server.createTenant("alice");
});

afterAll(async () => {
  for (const client of clients) client.close();
  await server?.close();
  await database?.drop();
  await mongo?.drop();
});

async function open(protocol: string | undefined): Promise<WebSocketClient> {
  const token = await mintToken(server.url, alice.secretKey, { collections: ["notes", "todos"] });
  const client = await WebSocketClient.open(server.url, { token, protocol });
  clients.push(client);
  return client;
}

it("delivers changes of MongoDB and PostgreSQL on one connection; a replace is an update", async () => {
  const client = await open("paperdb.v1");
  const notes = await client.subscribe("n", { collection: "notes" });
  const todos = await client.subscribe("t", { collection: "todos" });
  const raw = await open(undefined);
  const id = new ObjectId();
  const hex = id.toHexString();
  const collection = mongo.db.collection("notes");
  await collection.insertOne({ _id: id, tenantId: "alice", text: "one" });
  await raw.waitForTexts(1);
  await collection.replaceOne({ _id: id }, { tenantId: "alice", text: "two" });
  await raw.waitForTexts(2);
  await mongo.insert("notes", { tenantId: "bob", text: "not hers" });
  await collection.deleteOne({ _id: id });
  await raw.waitForTexts(3);
  await database.query("insert into todos values (1, 'alice')");
  await raw.waitForTexts(4);
  await client.waitFor("event", 4);
  const data = (text: string): unknown => ({ _id: hex, tenantId: "alice", text });
  const changes = [
    { type: "insert", collection: "notes", data: data("one") },
    { type: "update", collection: "notes", data: data("two") },
    { type: "delete", collection: "notes", data: data("two") },
  ];
  const todo = { type: "insert", collection: "todos", data: { id: 1, tenant_id: "alice" } };
  expect(raw.texts.map((text) => JSON.parse(text) as unknown)).toEqual([...changes, todo]);
  expect(client.events(notes.channel)).toEqual(changes.map((change) => ({ ...change, documentId: hex })));
  expect(client.events(todos.channel)).toEqual([{ ...todo, documentId: "1" }]);
});

it("resumes each subscription from its own cursor", async () => {
  const client = await open("paperdb.v1");
  await client.subscribe("n", { collection: "notes" });
  await client.subscribe("t", { collection: "todos" });
  await mongo.insert("notes", { tenantId: "alice", text: "seen" });
  await database.query("insert into todos values (10, 'alice')");
  await client.waitFor("event", 2);
  const cursorOf = (collection: string): string =>
    client.ofType("event").find(({ event }) => "collection" in event && event.collection === collection)
      ?.cursor ?? "";
  client.close();
  await mongo.insert("notes", { tenantId: "alice", text: "missed" });
  await database.query("insert into todos values (11, 'alice')");
  const back = await open("paperdb.v1");
  const notes = await back.subscribe("n", { collection: "notes" }, cursorOf("notes"));
  const todos = await back.subscribe("t", { collection: "todos" }, cursorOf("todos"));
  expect([notes.resumed, todos.resumed]).toEqual([true, true]);
  await back.waitFor("event", 2);
  expect(back.events(notes.channel)).toMatchObject([{ data: { text: "missed" } }]);
  expect(back.events(todos.channel)).toMatchObject([{ data: { id: 11 } }]);
  expect(back.ofType("reset")).toEqual([]);
});
