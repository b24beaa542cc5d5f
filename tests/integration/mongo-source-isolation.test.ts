import type { Document } from "mongodb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { openMongoSource, type TestDocument, type TestMongoSource } from "../support/mongo-source.ts";
import { until } from "../support/until.ts";

let database: TestMongoDatabase;
let source: TestMongoSource | undefined;

beforeEach(async () => {
  database = await createMongoDatabase();
});

afterEach(async () => {
  await source?.source.close();
  source = undefined;
  await database.drop();
});

async function open(options: Partial<Parameters<typeof openMongoSource>[0]> = {}): Promise<TestMongoSource> {
  source = await openMongoSource({ url: database.url, ...options });
  return source;
}

/** The pipelines of all streams that were opened, in order, as they went over the wire. */
function pipelines({ commands }: TestMongoSource): readonly (readonly Document[])[] {
  return commands.flatMap(({ commandName, command }) => {
    if (commandName !== "aggregate") return [];
    const stages: readonly Document[] = command["pipeline"];
    return stages[0]?.["$changeStream"] === undefined ? [] : [stages];
  });
}

/** The tenants that a pipeline lets through. */
function tenantsOf(pipeline: readonly Document[]): readonly unknown[] {
  const branches: readonly Document[] = pipeline[1]?.["$match"]?.$or ?? [];
  return branches.flatMap((branch) => branch["fullDocument.tenantId"]?.$in ?? []);
}

/** Every event that left the database for the source. */
function eventsReceived({ replies }: TestMongoSource): readonly Document[] {
  return replies.flatMap(({ reply }) => {
    if (typeof reply !== "object" || reply === null || !("cursor" in reply)) return [];
    const { firstBatch = [], nextBatch = [] }: Document = { ...Object(reply.cursor) };
    return [...firstBatch, ...nextBatch].filter(({ operationType }) => operationType !== undefined);
  });
}

describe("the pipelines that a MongoDB source sends", () => {
  it("match exactly the tenants with subscribers, right after the change stream, and split last", async () => {
    await database.createCollection("todos");
    const test = await open({ settings: { leaveDelayMs: 50 } });
    await test.watch("a", "todos");
    expect(tenantsOf(pipelines(test).at(-1) ?? [])).toEqual(["a"]);
    await Promise.all([test.watch("b", "todos"), test.watch("c", "todos")]);
    expect(tenantsOf(pipelines(test).at(-1) ?? [])).toEqual(["a", "b", "c"]);
    test.source.unwatch({ tenant: "a", collection: "todos" });
    test.source.unwatch({ tenant: "b", collection: "todos" });
    await until(() => tenantsOf(pipelines(test).at(-1) ?? []).join() === "c");
    for (const pipeline of pipelines(test)) {
      const stages = pipeline.map((stage) => Object.keys(stage)[0]);
      expect(stages.slice(0, 2)).toEqual(["$changeStream", "$match"]);
      expect(stages.at(-1)).toBe("$changeStreamSplitLargeEvent");
      const branches: readonly Document[] = pipeline[1]?.["$match"]?.$or;
      const [ending, current, prior, ...others] = branches;
      expect(others).toEqual([]);
      expect(ending).toEqual({ operationType: { $in: ["drop", "rename", "dropDatabase", "invalidate"] } });
      expect(prior?.["fullDocumentBeforeChange.tenantId"]).toEqual(current?.["fullDocument.tenantId"]);
    }
  });

  it("let no event of a tenant without subscribers leave the database", async () => {
    await database.createCollection("todos", true);
    const test = await open();
    await test.watch("a", "todos");
    const todos = database.db.collection<TestDocument>("todos");
    await database.insert("todos", { _id: 1, tenantId: "other" }, { _id: 2, tenantId: "a" });
    await database.insert("todos", { _id: 3 }, { _id: 4, tenantId: 7 });
    await todos.updateMany({}, { $set: { n: 1 } });
    await todos.replaceOne({ _id: 1 }, { tenantId: "other", n: 2 });
    await todos.deleteOne({ _id: 1 });
    await todos.deleteOne({ _id: 3 });
    await database.insert("todos", { _id: 5, tenantId: "a" });
    await until(() => test.sink.changes("a", "todos").at(-1)?.id === "5");
    const received = eventsReceived(test);
    expect(received.map(({ operationType, documentKey }) => `${operationType} ${documentKey._id}`)).toEqual([
      "insert 2",
      "update 2",
      "insert 5",
    ]);
    for (const event of received) expect(event["fullDocument"].tenantId).toBe("a");
  });

  it("open one stream for a collection, however many tenants it has", async () => {
    await database.createCollection("todos");
    await database.createCollection("notes");
    const test = await open();
    await Promise.all(Array.from({ length: 50 }, (_, n) => test.watch(`t${String(n)}`, "todos")));
    await test.watch("t1", "notes");
    for (let n = 50; n < 60; n += 1) await test.watch(`t${String(n)}`, "todos");
    expect(test.source.stats()).toMatchObject({ streams: 2, watchedChannels: 61 });
  });
});

describe("deletes without a pre-image", () => {
  it("reach nobody", async () => {
    await database.createCollection("todos", false);
    const test = await open({ settings: { catalogPollIntervalMs: 3_000 } });
    await database.insert("todos", { _id: 1, tenantId: "a" }, { _id: 2, tenantId: "b" });
    await Promise.all([test.watch("a", "todos"), test.watch("b", "todos")]);
    // From now on somebody else keeps the images disabled, for a moment: until the next look at the collections.
    const looks = (): number =>
      test.replies.filter(({ commandName }) => commandName === "listCollections").length;
    const before = looks();
    await until(() => looks() > before, { intervalMs: 1, describe: "a look at the collections" });
    await database.db.command({ collMod: "todos", changeStreamPreAndPostImages: { enabled: false } });
    await database.db.collection<TestDocument>("todos").deleteOne({ _id: 1 });
    await database.insert("todos", { _id: 3, tenantId: "a" });
    await until(() => test.sink.changes("a", "todos").at(-1)?.id === "3");
    expect(eventsReceived(test).map(({ operationType }) => operationType)).toEqual(["insert"]);
    expect(test.sink.events.map(({ body }) => "type" in body && body.type)).toEqual(["insert"]);
    // It is noticed, mended, and not hidden from anybody.
    await until(() => test.sink.resetsOf("a", "todos", "images_disabled") > 0);
    expect(test.sink.resetsOf("b", "todos", "images_disabled")).toBe(1);
    await database.db.collection<TestDocument>("todos").deleteOne({ _id: 2 });
    expect((await test.sink.next("b", "todos", 1)).map(({ type }) => type)).toEqual(["delete"]);
  });

  it("enables pre-images once for each collection", async () => {
    await database.createCollection("todos");
    const test = await open({ settings: { leaveDelayMs: 20 } });
    await test.watch("a", "todos");
    await test.watch("b", "todos");
    test.source.unwatch({ tenant: "a", collection: "todos" });
    test.source.unwatch({ tenant: "b", collection: "todos" });
    await until(() => test.source.stats().watchedChannels === 0);
    await test.watch("c", "todos");
    const modified = test.commands.filter(({ commandName }) => commandName === "collMod");
    expect(modified.map(({ command }) => command["changeStreamPreAndPostImages"])).toEqual([
      { enabled: true },
    ]);
  });
});
