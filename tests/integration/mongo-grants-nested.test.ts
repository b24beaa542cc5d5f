import type { Document } from "mongodb";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { mintToken } from "../support/realtime-token.ts";
import type { SseClient } from "../support/sse-client.ts";
import { sseState } from "../support/sse-state.ts";
import { PatientState } from "../support/snapshots.ts";
import { until } from "../support/until.ts";

let mongo: TestMongoDatabase;
let database: TestDatabase;
let server: TestServer;
let tenant: TestTenant;

beforeAll(async () => {
  mongo = await createMongoDatabase();
  await mongo.createCollection("orders");
  database = await createDatabase();
  const orders = {
    collection: "orders",
    tenantField: "org.id",
    hide: ["meta.level", "items.cost", "org.plan"],
  };
  const sources = [
    { kind: "postgres" as const, mode: "notify" as const, collections: {} },
    { kind: "mongodb" as const, url: mongo.url, collections: { orders } },
  ];
  server = await startTestServer({ sources }, database);
  tenant = await server.createTenant("acme");
  await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
});

afterAll(async () => {
  await server?.close();
  await mongo?.drop();
  await database?.drop();
});

const orders = () => mongo.db.collection<Document & { _id: number }>("orders");
const order = (_id: number, level: number, costs: readonly number[]): Document & { _id: number } => ({
  _id,
  org: { id: "acme", plan: "hidden plan" },
  meta: { level, note: "n" },
  items: costs.map((cost) => ({ name: "i", cost })),
});
/** As clients see it. */
const shown = (_id: number, count: number): unknown => ({
  _id,
  org: { id: "acme" },
  meta: { note: "n" },
  items: Array.from({ length: count }, () => ({ name: "i" })),
});

async function open(filter: object | undefined, where?: object): Promise<SseClient> {
  const filters = filter === undefined ? {} : { filters: { orders: filter } };
  const token = await mintToken(server.url, tenant.secretKey, { collections: ["orders"], ...filters });
  const client = await server.subscribe({
    collection: "orders",
    snapshot: "true",
    token,
    ...(where === undefined ? {} : { where: JSON.stringify(where) }),
  });
  if (client.status !== 200) throw new Error(client.body);
  await client.waitForEvent("ready");
  return client;
}

const heldBy = (client: SseClient): unknown[] => [
  ...sseState(client, () => new PatientState()).documents.values(),
];

it("grants may be about fields hidden inside objects and lists, and nobody else sees them", async () => {
  await orders().insertMany([order(1, 5, [1]), order(2, 4, [1, 9]), order(3, 7, [])]);
  const level = await open({ "meta.level": { $gte: 5 } });
  const cost = await open({ "items.cost": 9 });
  const plan = await open({ "org.plan": "hidden plan" }, { "org.plan": null });
  const guesses = [
    await open(undefined, { "meta.level": { $gte: 5 } }),
    await open(undefined, { "items.cost": 9 }),
    await open({ "meta.level": { $gte: 5 } }, { "items.cost": { $exists: true } }),
    await open(undefined, { meta: { level: 5, note: "n" } }),
  ];
  const witness = await open(undefined);
  expect(heldBy(level)).toEqual([shown(1, 1), shown(3, 0)]);
  expect(heldBy(cost)).toEqual([shown(2, 2)]);
  expect(heldBy(plan)).toEqual(heldBy(witness));
  // One after the other: what an update has changed is looked up.
  await orders().updateOne({ _id: 1 }, { $set: { "meta.level": 4 } });
  await witness.waitForMessages(1);
  await orders().updateOne({ _id: 2 }, { $set: { "meta.level": 6, "items.1.cost": 8 } });
  await witness.waitForMessages(2);
  await orders().deleteOne({ _id: 3 });
  await witness.waitForMessages(3);
  await orders().insertOne(order(4, 9, [9]));
  await until(() => level.changes.length === 4 && cost.changes.length === 2 && plan.changes.length === 4);
  const changesOf = ({ changes }: SseClient): unknown[] =>
    changes.map(({ type, documentId }) => [type, documentId]);
  expect(changesOf(level)).toEqual([
    ["delete", "1"],
    ["insert", "2"],
    ["delete", "3"],
    ["insert", "4"],
  ]);
  expect(changesOf(cost)).toEqual([
    ["delete", "2"],
    ["insert", "4"],
  ]);
  expect(heldBy(level)).toEqual([shown(2, 2), shown(4, 1)]);
  for (const guess of guesses) expect([heldBy(guess), guess.changes]).toEqual([[], []]);
  for (const client of [level, cost, plan, witness, ...guesses]) {
    expect(JSON.stringify(client.events)).not.toMatch(/level|cost|plan/);
  }
});
