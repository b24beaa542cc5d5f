import { Binary, Decimal128, Double, Int32, Long, ObjectId, UUID } from "mongodb";
import { afterEach, describe, expect, it } from "vitest";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { openMongoSource, type TestMongoSource } from "../support/mongo-source.ts";
import { until } from "../support/until.ts";

const databases: TestMongoDatabase[] = [];
const sources: TestMongoSource[] = [];

async function setUp(
  options: Partial<Parameters<typeof openMongoSource>[0]> = {},
): Promise<TestMongoSource & { readonly database: TestMongoDatabase }> {
  const database = await createMongoDatabase();
  databases.push(database);
  await database.createCollection("todos");
  const source = await openMongoSource({ url: database.url, ...options });
  sources.push(source);
  return { ...source, database };
}

afterEach(async () => {
  for (const { source } of sources.splice(0)) await source.close();
  for (const database of databases.splice(0)) await database.drop();
});

describe("events of a MongoDB source", () => {
  it("tells inserts, updates, replaces and deletes with their documents, in order", async () => {
    const { database, sink, watch } = await setUp();
    await watch("a", "todos");
    const todos = database.db.collection("todos");
    const { insertedId } = await todos.insertOne({ tenantId: "a", title: "one" });
    await sink.next("a", "todos", 1);
    await todos.updateOne({ _id: insertedId }, { $set: { title: "two" } });
    await sink.next("a", "todos", 2);
    await todos.replaceOne({ _id: insertedId }, { tenantId: "a", title: "three" });
    await todos.deleteOne({ _id: insertedId });
    const changes = await sink.next("a", "todos", 4);
    const id = insertedId.toHexString();
    expect(changes.map(({ type, id: documentId, document }) => [type, documentId, document])).toEqual([
      ["insert", id, { _id: id, tenantId: "a", title: "one" }],
      ["update", id, { _id: id, tenantId: "a", title: "two" }],
      ["replace", id, { _id: id, tenantId: "a", title: "three" }],
      ["delete", id, { _id: id, tenantId: "a", title: "three" }],
    ]);
    expect(sink.positions).toEqual([...new Set(sink.positions)].toSorted());
    expect(sink.resets).toEqual([]);
  });
});
