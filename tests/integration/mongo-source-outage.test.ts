import { MongoClient } from "mongodb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freePort } from "../support/free-port.ts";
import {
  canStartMongo,
  createMongoDatabase,
  startMongo,
  withDatabase,
  type TestMongo,
  type TestMongoDatabase,
} from "../support/mongo.ts";
import { openMongoSource, type TestDocument, type TestMongoSource } from "../support/mongo-source.ts";
import { startMisbehavingProxy } from "../support/postgres-source-proxy.ts";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";

const FAST = { connectTimeoutMs: 1_000, minRetryMs: 20, maxRetryMs: 200, catalogPollIntervalMs: 100 };

let mongo: TestMongo;
let database: TestMongoDatabase;
let source: TestMongoSource | undefined;
let proxy: TcpProxy | undefined;

async function open(options: Partial<Parameters<typeof openMongoSource>[0]> = {}): Promise<TestMongoSource> {
  source = await openMongoSource({ url: database.url, settings: FAST, ...options });
  return source;
}

/** A busy server may take longer to answer than an attempt to reach it. */
async function openLive(options: Parameters<typeof open>[0] = {}): Promise<TestMongoSource> {
  const opened = await open(options);
  await until(() => opened.source.state().live, { describe: () => JSON.stringify(opened.source.state()) });
  return opened;
}

async function start(...args: readonly string[]): Promise<void> {
  mongo = await startMongo({ args });
  database = await createMongoDatabase(mongo.url);
  await database.createCollection("todos", true);
}

afterEach(async () => {
  await source?.source.close();
  source = undefined;
  await proxy?.close();
  proxy = undefined;
  await database.client.close();
  await mongo.stop();
});

describe.runIf(canStartMongo)("an outage of MongoDB", () => {
  beforeEach(() => start());

  it("loses and repeats nothing when the server is killed and comes back", async () => {
    const test = await openLive();
    await Promise.all([test.watch("a", "todos"), test.watch("quiet", "todos")]);
    for (let round = 0; round < 3; round += 1) {
      await database.insert("todos", { _id: `${String(round)}-1`, tenantId: "a" });
      await database.insert("todos", { _id: `${String(round)}-2`, tenantId: "a" });
      await mongo.kill();
      await until(() => !test.source.state().live);
      await expect(test.watch("b", "todos")).rejects.toMatchObject({ code: "source_unavailable" });
      await mongo.start();
      await database.insert("todos", { _id: `${String(round)}-3`, tenantId: "a" });
      await until(() => test.sink.changes("a", "todos").at(-1)?.id === `${String(round)}-3`);
      await until(() => test.source.state().live);
      await test.watch(`new${String(round)}`, "todos");
    }
    expect(test.sink.changes("a", "todos").map(({ id }) => id)).toEqual(
      [0, 1, 2].flatMap((round) => [1, 2, 3].map((n) => `${String(round)}-${String(n)}`)),
    );
    expect(test.sink.resets).toEqual([]);
  });

  it("loses and repeats nothing when the network is cut", async () => {
    proxy = await startProxy(mongo.url.replace("mongodb:", "http:"));
    const through = database.url.replace(String(mongo.port), new URL(proxy.url).port);
    const test = await openLive({ url: through });
    await test.watch("a", "todos");
    for (let n = 0; n < 10; n += 1) {
      await database.insert("todos", { _id: n, tenantId: "a" });
      await proxy.cut();
      await database.insert("todos", { _id: n + 100, tenantId: "a" });
      await proxy.mend();
    }
    await until(() => test.sink.changes("a", "todos").at(-1)?.id === "109");
    const expected = Array.from({ length: 10 }, (_, n) => [String(n), String(n + 100)]).flat();
    expect(test.sink.changes("a", "todos").map(({ id }) => id)).toEqual(expected);
    expect(test.sink.resets).toEqual([]);
  });
});

describe.runIf(canStartMongo)("the end of a MongoDB source", () => {
  beforeEach(() => start());

  it("does not wait for a server that does not answer", async () => {
    const frozen = await startMisbehavingProxy(database.url.replace(/^mongodb:/, "http:"));
    const url = frozen.url.replace(/^http:/, "mongodb:");
    const test = await openLive({ url, settings: { ...FAST, connectTimeoutMs: 60_000 } });
    await test.watch("a", "todos");
    frozen.freeze();
    await test.source.close();
    expect(test.logLines.filter((line) => line.includes("left behind"))).toHaveLength(1);
    await frozen.close();
  });
});

describe.runIf(canStartMongo)("a failure that the server tells", () => {
  beforeEach(() => start("--enable-test-commands"));

  async function fail(commands: readonly string[], errorCode: number, times: number): Promise<void> {
    await database.client.db("admin").command({
      configureFailPoint: "failCommand",
      mode: { times },
      data: { failCommands: commands, errorCode },
    });
  }

  it("resets when the history is lost (286), and goes on from now", async () => {
    const test = await openLive();
    await test.watch("a", "todos");
    await fail(["getMore"], 286, 1);
    await until(() => test.sink.resetsOf("a", "todos", "history_lost") === 1);
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await test.sink.next("a", "todos", 1);
    expect(test.sink.resets).toHaveLength(1);
  });

  it("opens the stream by time when a token is not found (280), without a reset", async () => {
    const test = await openLive();
    await test.watch("a", "todos");
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await test.sink.next("a", "todos", 1);
    await fail(["getMore"], 280, 1);
    await until(() => test.source.stats().failures === 1);
    await database.insert("todos", { _id: 2, tenantId: "a" });
    await test.sink.next("a", "todos", 2);
    expect(test.sink.resets).toEqual([]);
  });

  it("goes past an event that is too large for an answer (10334), with a reset", async () => {
    const test = await openLive();
    await test.watch("a", "todos");
    await fail(["getMore"], 10_334, 1);
    await until(() => test.sink.resetsOf("a", "todos", "change_not_readable") === 1);
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await test.sink.next("a", "todos", 1);
  });

  it("skips what fails again and again, ever more slowly", async () => {
    const test = await openLive({ settings: { ...FAST, minRetryMs: 5 } });
    await test.watch("a", "todos");
    await fail(["getMore"], 2, 12);
    await until(() => test.sink.resetsOf("a", "todos", "stream_failed") > 0);
    await until(() => test.source.stats().failures === 12);
    await until(() => test.source.state().live);
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await until(() => test.sink.changes("a", "todos").length === 1);
  });

  it("enables pre-images as soon as the collection is not locked any more", async () => {
    await database.createCollection("busy", false);
    const test = await openLive();
    await fail(["collMod"], 50, 3);
    await test.watch("a", "busy");
    expect(test.source.state()).toEqual({ live: true });
    await database.insert("busy", { _id: 1, tenantId: "a" });
    await database.db.collection<TestDocument>("busy").deleteOne({ _id: 1 });
    await test.sink.next("a", "busy", 2);
  });

  it("rejects a join that cannot be opened, and leaves those alone that are there", async () => {
    const test = await openLive();
    await test.watch("a", "todos");
    await fail(["aggregate"], 2, 1);
    await expect(test.watch("b", "todos")).rejects.toMatchObject({ code: "source_unavailable" });
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await test.sink.next("a", "todos", 1);
    await test.watch("b", "todos");
    expect(test.sink.resets).toEqual([]);
  });

  it("is seen in the state while a stream cannot be opened, and not after", async () => {
    const test = await openLive();
    await test.watch("a", "todos");
    await fail(["getMore", "aggregate"], 11_600, 8);
    await until(() => !test.source.state().live);
    await until(() => test.source.state().live);
    expect(test.sink.resets).toEqual([]);
  });
});

describe.runIf(canStartMongo)("the start of a MongoDB source", () => {
  it("refuses a standalone server in a sentence", async () => {
    mongo = await startMongo({ args: ["--standalone"] });
    database = await createMongoDatabase(mongo.url);
    await expect(open()).rejects.toThrow(
      /^The source "mongodb" cannot be used: MongoDB runs as a standalone server.*rs\.initiate/,
    );
  });

  it("refuses a wrong password in a sentence, and without the right to collMod delivers all but deletes", async () => {
    await start();
    const { db, name } = database;
    await database.client.db("admin").command({ createUser: "root", pwd: "root", roles: ["root"] });
    await db.command({ createUser: "reader", pwd: "s3cret", roles: [{ role: "read", db: name }] });
    await database.createCollection("plain", false);
    await mongo.kill("SIGTERM");
    await mongo.start(["--auth"]);
    const urlOf = (user: string): string => database.url.replace("://", `://${user}@`);
    const wrong = openMongoSource({ url: urlOf("reader:wr0ng") });
    await expect(wrong).rejects.toThrow(/The user or the password in its url is wrong/);
    await expect(wrong).rejects.not.toThrow(/wr0ng/);
    const test = await openLive({ url: urlOf("reader:s3cret") });
    const root = new MongoClient(withDatabase(urlOf("root:root"), name));
    try {
      const plain = root.db(name).collection<TestDocument>("plain");
      await test.watch("a", "plain");
      await test.watch("b", "plain");
      await plain.insertMany([
        { _id: 1, tenantId: "a" },
        { _id: 2, tenantId: "b" },
      ]);
      await plain.updateOne({ _id: 1 }, { $set: { n: 1 } });
      await plain.deleteMany({});
      await plain.insertOne({ _id: 3, tenantId: "a" });
      await until(() => test.sink.changes("a", "plain").at(-1)?.id === "3");
      expect(test.sink.events.filter(({ body }) => "type" in body && body.type === "delete")).toEqual([]);
      expect(test.source.state()).toMatchObject({
        live: true,
        detail: expect.stringMatching(/Deletes are not delivered of: plain\./),
      });
      expect(test.source.stats().collectionsWithoutDeletes).toBe(1);
      await expect(test.source.needPrior("plain", new Set())).rejects.toMatchObject({
        code: "prior_images_required",
      });
      const warnings = test.logLines.filter((line) => line.includes("deletes of the collection"));
      expect(warnings).toHaveLength(1);
      // Somebody who may enables them.
      await root.db(name).command({ collMod: "plain", changeStreamPreAndPostImages: { enabled: true } });
      await until(() => test.sink.resetsOf("a", "plain", "images_enabled") === 1);
      expect(test.source.state()).toEqual({ live: true });
      await test.source.needPrior("plain", new Set());
      await plain.deleteOne({ _id: 3 });
      await until(() => test.sink.events.some(({ body }) => "type" in body && body.type === "delete"));
    } finally {
      await root.close();
    }
  });

  it("waits for a server that cannot be reached", async () => {
    await start();
    const port = await freePort();
    const test = await open({
      url: `mongodb://127.0.0.1:${String(port)}/${database.name}?directConnection=true`,
    });
    expect(test.source.state()).toMatchObject({
      live: false,
      reason: expect.stringMatching(/cannot be reached.*Check the host and port/),
    });
    expect(test.source.collections()).toEqual([]);
    await expect(test.watch("a", "todos")).rejects.toMatchObject({ code: "source_unavailable" });
    await test.source.close();
    proxy = await startProxy(mongo.url.replace("mongodb:", "http:"));
    await proxy.cut();
    const through = database.url.replace(String(mongo.port), new URL(proxy.url).port);
    const late = await open({ url: through });
    expect(late.source.state().live).toBe(false);
    await proxy.mend();
    await until(() => late.source.state().live);
    await late.watch("a", "todos");
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await late.sink.next("a", "todos", 1);
  });

  it("refuses URLs that name no database or are none, without the password in the sentence", async () => {
    await start();
    await expect(open({ url: mongo.url })).rejects.toThrow(/names no database/);
    const wrong = openMongoSource({ url: "mongodb://user:s3cret@host:99999/app" });
    await expect(wrong).rejects.toThrow(/^The source "mongodb" cannot be used: .*\. Check its url\.$/);
    await expect(wrong).rejects.not.toThrow(/s3cret/);
  });
});
