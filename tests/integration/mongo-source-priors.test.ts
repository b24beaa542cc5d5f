import { MongoClient } from "mongodb";
import { expect, it, onTestFinished } from "vitest";
import type { DocumentChange } from "@paperdb/protocol";
import { openMongoSource, type TestDocument, type TestMongoSource } from "../support/mongo-source.ts";
import { openMongoWorld, type MongoWorld } from "../support/mongo-world.ts";
import { until } from "../support/until.ts";

const NO_FIELDS: ReadonlySet<string> = new Set();
const HIDING = { masked: { collection: "masked", hide: ["secret", "profile.ssn"] } };
const setUp = (options?: Parameters<typeof openMongoWorld>[1]): Promise<MongoWorld> =>
  openMongoWorld(["todos", "masked"], options);

function bodies({ sink }: TestMongoSource): readonly DocumentChange[] {
  return sink.events.flatMap(({ body }) => ("documentId" in body ? [body] : []));
}

it("prior documents come with updates and replaces, and stay with their tenant", async () => {
  const test = await setUp();
  const todos = test.database.db.collection<TestDocument>("todos");
  await test.source.needPrior("todos", NO_FIELDS);
  await test.watch("a", "todos");
  await test.watch("b", "todos");
  await todos.insertOne({ _id: 1, tenantId: "a", n: 0 });
  await test.sink.next("a", "todos", 1);
  await todos.updateOne({ _id: 1 }, { $set: { n: 1 } });
  await test.sink.next("a", "todos", 2);
  await todos.replaceOne({ _id: 1 }, { tenantId: "a", m: 2 });
  await test.sink.next("a", "todos", 3);
  await todos.updateOne({ _id: 1 }, { $set: { tenantId: "b" } });
  await test.sink.next("b", "todos", 1);
  await todos.deleteOne({ _id: 1 });
  await test.sink.next("b", "todos", 2);
  expect(bodies(test).map(({ type, prior }) => [type, prior])).toEqual([
    ["insert", undefined],
    ["update", '{"_id":1,"tenantId":"a","n":0}'],
    ["replace", '{"_id":1,"tenantId":"a","n":1}'],
    ["delete", undefined],
    ["insert", undefined],
    ["delete", undefined],
  ]);
  expect(test.sink.resets).toEqual([]);
});

it("hidden fields stay in the database until a grant's filter names one, and come apart then", async () => {
  const test = await setUp({ collections: HIDING });
  const masked = test.database.db.collection<TestDocument>("masked");
  const profile = (ssn: number, name: string): object => ({ profile: { ssn, name } });
  await test.watch("a", "masked");
  await test.source.needPrior("masked", new Set(["name", "n"]));
  await masked.insertOne({ _id: 1, tenantId: "a", secret: "s1", ...profile(7, "x") });
  await test.sink.next("a", "masked", 1);
  expect(bodies(test)).toEqual([
    { type: "insert", documentId: "1", document: '{"_id":1,"tenantId":"a","profile":{"name":"x"}}' },
  ]);
  await Promise.all([
    test.source.needPrior("masked", new Set(["profile"])),
    test.source.needPrior("masked", new Set(["secret"])),
  ]);
  expect(test.sink.resetsOf("a", "masked", "prior_unknown")).toBe(1);
  await masked.updateOne({ _id: 1 }, { $set: { secret: "s2" } });
  await test.sink.next("a", "masked", 2);
  await masked.deleteOne({ _id: 1 });
  await test.sink.next("a", "masked", 3);
  const document = '{"_id":1,"tenantId":"a","profile":{"name":"x"}}';
  const hidden = (secret: string): string => `{"secret":"${secret}","profile":{"ssn":7,"name":"x"}}`;
  expect(bodies(test).slice(1)).toEqual([
    {
      type: "update",
      documentId: "1",
      document,
      prior: document,
      hidden: hidden("s2"),
      priorHidden: hidden("s1"),
    },
    { type: "delete", documentId: "1", document, priorHidden: hidden("s2") },
  ]);
  await test.source.needPrior("masked", new Set(["secret"]));
  expect(test.sink.resets).toHaveLength(1);
});

it("the next process reads what is hidden from its first change on, and resets nobody for it", async () => {
  let kept: readonly string[] = [];
  const hiddenNeeds = {
    fetch: () => Promise.resolve(kept),
    keep: (names: readonly string[]) => {
      kept = names;
      return Promise.resolve();
    },
  };
  const first = await setUp({ collections: HIDING, hiddenNeeds });
  await first.source.needPrior("masked", new Set(["name"]));
  expect(kept).toEqual([]);
  await first.source.needPrior("masked", new Set(["secret"]));
  expect(kept).toEqual(["masked"]);
  const next = await openMongoSource({ url: first.database.url, collections: HIDING, hiddenNeeds });
  onTestFinished(() => next.source.close());
  await next.watch("a", "masked");
  await first.database.insert("masked", { _id: 1, tenantId: "a", secret: 1 });
  await next.sink.next("a", "masked", 1);
  await next.source.needPrior("masked", new Set(["secret"]));
  await first.database.insert("masked", { _id: 2, tenantId: "a", secret: 2 });
  await next.sink.next("a", "masked", 2);
  expect(bodies(next).map(({ hidden }) => hidden)).toEqual(['{"secret":1}', '{"secret":2}']);
  expect(next.sink.resets).toEqual([]);
});

it("a store that fails is no reason not to work", async () => {
  const fail = () => Promise.reject(new Error("No space left."));
  const test = await setUp({ collections: HIDING, hiddenNeeds: { fetch: fail, keep: fail } });
  await test.source.needPrior("masked", new Set(["secret"]));
  await test.watch("a", "masked");
  await test.database.insert("masked", { _id: 1, tenantId: "a", secret: 1 });
  await test.sink.next("a", "masked", 1);
  expect(bodies(test)[0]?.hidden).toBe('{"secret":1}');
  expect(test.logLines.filter((line) => line.includes("No space left"))).toHaveLength(2);
});

it("what is read again has them too", async () => {
  const test = await setUp({ collections: HIDING });
  const masked = test.database.db.collection<TestDocument>("masked");
  await test.source.needPrior("masked", new Set(["secret"]));
  const since = await test.watch("a", "masked");
  await masked.insertOne({ _id: 1, tenantId: "a", secret: 1 });
  await test.sink.next("a", "masked", 1);
  await masked.updateOne({ _id: 1 }, { $set: { secret: 2 } });
  await test.sink.next("a", "masked", 2);
  const events = await test.replay(
    { tenant: "a", collection: "masked" },
    since,
    test.sink.positions.at(-1) ?? "",
  );
  expect(events).toEqual(test.sink.events);
  expect(events?.[1]?.body).toMatchObject({ prior: '{"_id":1,"tenantId":"a"}', priorHidden: '{"secret":1}' });
});

it("no update comes without its prior document while somebody disables pre-images", async () => {
  const test = await setUp({ settings: { catalogPollIntervalMs: 200 } });
  const { db } = test.database;
  const todos = db.collection<TestDocument>("todos");
  const update = (n: number) => todos.updateOne({ _id: 1 }, { $set: { n } });
  await test.source.needPrior("todos", NO_FIELDS);
  await test.watch("a", "todos");
  await todos.insertOne({ _id: 1, tenantId: "a" });
  await test.sink.next("a", "todos", 1);
  await db.command({ collMod: "todos", changeStreamPreAndPostImages: { enabled: false } });
  await update(1);
  await until(() => test.sink.resetsOf("a", "todos", "images_disabled") > 0, { describe: "a reset" });
  await update(2);
  await until(() => test.sink.changes("a", "todos").at(-1)?.document["n"] === 2, { describe: "an update" });
  const updates = bodies(test).filter(({ type }) => type === "update");
  expect(updates.at(-1)?.prior).toBe('{"_id":1,"tenantId":"a","n":1}');
  expect(updates.filter(({ prior }) => prior === undefined)).toEqual([]);
});

it("hidden fields that are asked for while the stream is being opened again come with it", async () => {
  let asked: Promise<void> | undefined;
  let isArmed = false;
  const test = await setUp({
    collections: HIDING,
    settings: { catalogPollIntervalMs: 200 },
    createClient: (url, options) => {
      const client = new MongoClient(url, { ...options, monitorCommands: true });
      client.on("commandStarted", ({ commandName, command }) => {
        if (!isArmed || commandName !== "aggregate" || command["aggregate"] !== "masked") return;
        asked ??= test.source.needPrior("masked", new Set(["secret"]));
      });
      return client;
    },
  });
  await test.watch("a", "masked");
  isArmed = true;
  await test.database.db.command({ collMod: "masked", changeStreamPreAndPostImages: { enabled: false } });
  await until(() => asked !== undefined, { describe: "a stream that is opened again" });
  await asked;
  await test.database.insert("masked", { _id: 1, tenantId: "a", secret: 1 });
  await test.sink.next("a", "masked", 1);
  expect(bodies(test)[0]?.hidden).toBe('{"secret":1}');
});

it("cannot be needed of what is no collection", async () => {
  const test = await setUp();
  await expect(test.source.needPrior("nowhere", NO_FIELDS)).rejects.toMatchObject({
    code: "collection_not_found",
  });
});
