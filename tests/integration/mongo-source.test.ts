import { RealtimeError } from "@paperdb/protocol";
import { Binary, BSONRegExp, Code, Decimal128, Double, Int32, Long, MaxKey, MinKey } from "mongodb";
import { ObjectId, Timestamp, UUID } from "mongodb";
import { describe, expect, it } from "vitest";
import { type TestMongoDatabase } from "../support/mongo.ts";
import type { TestDocument } from "../support/mongo-source.ts";
import { openMongoWorld, type MongoWorld } from "../support/mongo-world.ts";
import { until } from "../support/until.ts";

const setUp = (options?: Parameters<typeof openMongoWorld>[1]): Promise<MongoWorld> =>
  openMongoWorld(["todos"], options);

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

  it("delivers what commits after the watch, and nothing of before", async () => {
    const { database, sink, watch } = await setUp();
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await watch("a", "todos");
    await database.insert("todos", { _id: 2, tenantId: "a" });
    expect((await sink.next("a", "todos", 1)).map(({ id }) => id)).toEqual(["2"]);
  });

  it("writes BSON as plain JSON, numbers exactly", async () => {
    const { database, sink, watch } = await setUp();
    await watch("a", "todos");
    const uuid = new UUID("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");
    await database.insert("todos", {
      _id: new ObjectId("65a1b2c3d4e5f60718293a4b"),
      tenantId: "a",
      int: new Int32(-7),
      safe: Long.fromString("9007199254740991"),
      long: Long.fromString("9007199254740993"),
      double: new Double(2.5),
      whole: new Double(5),
      nan: new Double(Number.NaN),
      infinite: new Double(-Infinity),
      decimal: Decimal128.fromString("12.50"),
      precise: Decimal128.fromString("0.1000000000000000055"),
      date: new Date("2026-01-02T03:04:05.678Z"),
      far: new Date("9999-12-31T23:59:59.999Z"),
      uuid,
      bytes: new Binary(Buffer.from([0, 255, 1])),
      nothing: null,
      yes: true,
      text: 'line\n"quoted"\u2028',
      nested: { list: [new Int32(1), [Long.fromString("-9007199254740993")], { deep: new Double(0.1) }] },
      timestamp: new Timestamp({ t: 4_000_000_000, i: 2 }),
      pattern: new BSONRegExp("^a", "i"),
      code: new Code("x => x"),
      low: new MinKey(),
      high: new MaxKey(),
    });
    const [change] = await sink.next("a", "todos", 1);
    expect(change?.id).toBe("65a1b2c3d4e5f60718293a4b");
    expect(change?.text).not.toContain("\n");
    expect(change?.text).toContain('"decimal":12.50,');
    expect(change?.document).toEqual({
      _id: "65a1b2c3d4e5f60718293a4b",
      tenantId: "a",
      int: -7,
      safe: 9_007_199_254_740_991,
      long: "9007199254740993",
      double: 2.5,
      whole: 5,
      nan: "NaN",
      infinite: "-Infinity",
      decimal: 12.5,
      precise: "0.1000000000000000055",
      date: "2026-01-02T03:04:05.678Z",
      far: "9999-12-31T23:59:59.999Z",
      uuid: "f81d4fae-7dec-41d0-a765-00a0c91e6bf6",
      bytes: "AP8B",
      nothing: null,
      yes: true,
      text: 'line\n"quoted"\u2028',
      nested: { list: [1, ["-9007199254740993"], { deep: 0.1 }] },
      timestamp: { t: 4_000_000_000, i: 2 },
      pattern: { pattern: "^a", options: "i" },
      code: "x => x",
      low: "MinKey",
      high: "MaxKey",
    });
  });

  it.each<[string, unknown, string]>([
    ["a string", "s1", "s1"],
    ["a number as text", new Int32(42), "42"],
    ["a long", Long.fromString("9007199254740993"), "9007199254740993"],
    ["a whole double", new Double(42), "42"],
    ["a double", new Double(2.5), "2.5"],
    ["an ObjectId", new ObjectId("65a1b2c3d4e5f60718293a4b"), "65a1b2c3d4e5f60718293a4b"],
    ["a UUID", new UUID("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"), "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"],
  ])("finds the tenant in %s", async (_name, value, tenant) => {
    const { database, sink, watch } = await setUp();
    await watch(tenant, "todos");
    await database.insert("todos", { _id: 1, tenantId: value });
    await database.db.collection<TestDocument>("todos").deleteOne({ tenantId: value });
    expect((await sink.next(tenant, "todos", 2)).map(({ type }) => type)).toEqual(["insert", "delete"]);
  });

  it("takes nothing else for a tenant", async () => {
    const { database, sink, watch } = await setUp();
    await watch("a", "todos");
    await watch("true", "todos");
    await database.insert("todos", { _id: 1, tenantId: ["a", "b"] }, { _id: 2, tenantId: true }, { _id: 3 });
    await database.insert("todos", { _id: 4, tenantId: { a: "a" } }, { _id: 5, tenantId: "A" });
    await database.insert("todos", { _id: "last", tenantId: "a" });
    expect((await sink.next("a", "todos", 1)).map(({ id }) => id)).toEqual(["last"]);
    expect(sink.events).toHaveLength(1);
  });

  it("tells a document that moves as a delete for one tenant and an insert for the other", async () => {
    const { database, sink, watch } = await setUp();
    await Promise.all(["a", "b", "c"].map((tenant) => watch(tenant, "todos")));
    const todos = database.db.collection<TestDocument>("todos");
    await todos.insertOne({ _id: 1, tenantId: "a", n: 1 });
    await sink.next("a", "todos", 1);
    await todos.updateOne({ _id: 1 }, { $set: { tenantId: "b", n: 2 } });
    await sink.next("b", "todos", 1);
    await todos.replaceOne({ _id: 1 }, { tenantId: "c", n: 3 });
    await sink.next("c", "todos", 1);
    await todos.updateOne({ _id: 1 }, { $unset: { tenantId: "" } });
    await sink.next("c", "todos", 2);
    await todos.updateOne({ _id: 1 }, { $set: { tenantId: "a", n: 4 } });
    await sink.next("a", "todos", 3);
    const seen = (tenant: string): readonly unknown[] =>
      sink.changes(tenant, "todos").map(({ type, document }) => [type, document["tenantId"], document["n"]]);
    expect(seen("a")).toEqual([
      ["insert", "a", 1],
      ["delete", "a", 1],
      ["insert", "a", 4],
    ]);
    expect(seen("b")).toEqual([
      ["insert", "b", 2],
      ["delete", "b", 2],
    ]);
    expect(seen("c")).toEqual([
      ["insert", "c", 3],
      ["delete", "c", 3],
    ]);
  });

  it("delivers transactions whole and in order", async () => {
    const { database, sink, watch } = await setUp();
    await Promise.all([watch("a", "todos"), watch("b", "todos")]);
    const session = database.client.startSession();
    await session.withTransaction(async () => {
      const todos = database.db.collection<TestDocument>("todos");
      for (let n = 0; n < 40; n += 1) {
        await todos.insertOne({ _id: n, tenantId: n % 2 === 0 ? "a" : "b" }, { session });
      }
    });
    await session.endSession();
    const even = Array.from({ length: 20 }, (_, index) => String(index * 2));
    expect((await sink.next("a", "todos", 20)).map(({ id }) => id)).toEqual(even);
    expect(await sink.next("b", "todos", 20)).toHaveLength(20);
    const positions = sink.events
      .filter(({ channel }) => channel.tenant === "a")
      .map(({ position }) => position);
    expect(positions).toEqual([...new Set(positions)].toSorted());
  });

  it("goes on after a document that is gone before it could be looked up", async () => {
    const { database, sink, watch } = await setUp();
    await watch("a", "todos");
    await database.insert("todos", { _id: 1, tenantId: "a" });
    const todos = database.db.collection<TestDocument>("todos");
    await todos.bulkWrite([
      { updateOne: { filter: { _id: 1 }, update: { $set: { n: 1 } } } },
      { deleteOne: { filter: { _id: 1 } } },
      { insertOne: { document: { _id: 2, tenantId: "a" } } },
    ]);
    await until(() => sink.changes("a", "todos").at(-1)?.id === "2");
    const types = sink.changes("a", "todos").map(({ type, id }) => `${type} ${id}`);
    expect(types.filter((type) => type !== "update 1")).toEqual(["insert 1", "delete 1", "insert 2"]);
    expect(sink.resets).toEqual([]);
  });

  it("resets a channel instead of a document beyond the bound, and goes on", async () => {
    const { database, sink, watch } = await setUp({ settings: { maxDocumentBytes: 2000 } });
    await Promise.all([watch("a", "todos"), watch("b", "todos")]);
    await database.insert("todos", { _id: 1, tenantId: "a", text: "x".repeat(3000) });
    await database.insert("todos", { _id: 2, tenantId: "a" }, { _id: 3, tenantId: "b" });
    expect((await sink.next("a", "todos", 1)).map(({ id }) => id)).toEqual(["2"]);
    await sink.next("b", "todos", 1);
    expect(sink.resetsOf("a", "todos", "change_too_large")).toBe(1);
    expect(sink.resets).toHaveLength(1);
  });
});

describe("collections of a MongoDB source", () => {
  it("are those of the database, new ones at once, without views and system collections", async () => {
    const { database, source } = await setUp();
    await database.db.createCollection("done", { viewOn: "todos", pipeline: [{ $match: { done: true } }] });
    await database.createCollection("notes");
    await until(() => source.collections().some(({ name }) => name === "notes"));
    expect(
      source
        .collections()
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(["notes", "todos"]);
    expect(await source.whyNotCollection("done")).toMatch(/"done" is a view/);
    expect(await source.whyNotCollection("nothing")).toBeUndefined();
    await expect(source.watch({ tenant: "a", collection: "nothing" })).rejects.toMatchObject({
      code: "collection_not_found",
    });
  });

  it("can be named, with a tenant field inside and hidden fields", async () => {
    const { database, source, sink, watch, replies } = await setUp({
      collections: {
        tasks: {
          collection: "todos",
          tenantField: "org.id",
          hide: ["secret", "author.email", "notes.secret", "org"],
        },
        gone: { collection: "nowhere" },
      },
    });
    expect(source.collections()).toEqual([{ name: "tasks" }]);
    expect(await source.whyNotCollection("gone")).toMatch(/"nowhere".*does not exist/);
    await watch("a", "tasks");
    const todos = database.db.collection<TestDocument>("todos");
    await todos.insertOne({
      _id: 1,
      org: { id: "a", name: "Acme" },
      secret: "classified",
      author: { name: "x", email: "classified" },
      notes: [{ secret: "in a list", text: "t" }],
    });
    await sink.next("a", "tasks", 1);
    await todos.updateOne({ _id: 1 }, { $set: { secret: "classified too", "author.email": "classified" } });
    const changes = await sink.next("a", "tasks", 2);
    for (const { document } of changes) {
      expect(document).toEqual({ _id: 1, author: { name: "x" }, notes: [{ text: "t" }] });
    }
    expect(JSON.stringify(replies.map(({ reply }) => reply))).not.toContain("classified");
    await todos.updateOne({ _id: 1 }, { $set: { "org.id": "b" } });
    expect((await sink.next("a", "tasks", 3)).at(-1)?.type).toBe("delete");
  });

  it.each([
    ["dropped", (database: TestMongoDatabase) => database.db.dropCollection("todos")],
    ["renamed", (database: TestMongoDatabase) => database.db.renameCollection("todos", "tasks")],
    ["dropped with the database", (database: TestMongoDatabase) => database.db.dropDatabase()],
  ])(
    "end their subscriptions when they are %s, and come back when there are new ones",
    async (_name, end) => {
      const { database, sink, watch } = await setUp();
      await watch("a", "todos");
      await database.insert("todos", { _id: 1, tenantId: "a" });
      await end(database);
      await until(() => sink.droppedCollections.length > 0);
      expect(sink.droppedCollections).toEqual(["todos"]);
      expect(sink.changes("a", "todos").map(({ id }) => id)).toEqual(["1"]);
      await database.recreateCollection("todos");
      await until(() =>
        watch("a", "todos").catch((error: unknown) => {
          if (!(error instanceof RealtimeError)) throw error;
          return undefined;
        }),
      );
      await database.insert("todos", { _id: 2, tenantId: "a" });
      await database.db.collection<TestDocument>("todos").deleteOne({ _id: 2 });
      const changes = await sink.next("a", "todos", 3);
      expect(changes.slice(1).map(({ type, id }) => `${type} ${id}`)).toEqual(["insert 2", "delete 2"]);
      expect(sink.droppedCollections).toEqual(["todos"]);
    },
  );
});
