import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { openMongoSource, type TestDocument, type TestMongoSource } from "../support/mongo-source.ts";
import { until } from "../support/until.ts";

let database: TestMongoDatabase;
let source: TestMongoSource | undefined;

beforeEach(async () => {
  database = await createMongoDatabase();
  await database.createCollection("todos", true);
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

/** Writes numbered documents for tenants in turn, until it is stopped. */
function startWriting(tenants: readonly string[]): {
  readonly acknowledged: readonly { readonly tenant: string; readonly n: number }[];
  stop(): Promise<void>;
} {
  const acknowledged: { tenant: string; n: number }[] = [];
  const stopping = new AbortController();
  const writing = (async () => {
    for (let n = 0; !stopping.signal.aborted; n += 1) {
      const tenant = tenants[n % tenants.length] ?? "";
      await database.db.collection<TestDocument>("todos").insertOne({ _id: n, tenantId: tenant });
      acknowledged.push({ tenant, n });
      await delay(2);
    }
  })();
  return {
    acknowledged,
    async stop() {
      stopping.abort();
      await writing;
    },
  };
}

describe("tenants that join a stream while others write", () => {
  it("miss nothing after their watch, and repeat nothing to those already there", async () => {
    const test = await open({ settings: { leaveDelayMs: 30 } });
    const tenants = Array.from({ length: 40 }, (_, n) => `t${String(n)}`);
    await test.watch("t0", "todos");
    const writer = startWriting(tenants);
    const joinedAfter = new Map<string, number>([["t0", -1]]);
    for (const tenant of tenants.slice(1)) {
      await test.watch(tenant, "todos");
      joinedAfter.set(tenant, writer.acknowledged.at(-1)?.n ?? -1);
      await delay(3);
    }
    await until(() => writer.acknowledged.length > 200);
    await writer.stop();
    const expected = (tenant: string): readonly number[] =>
      writer.acknowledged.filter((write) => write.tenant === tenant).map(({ n }) => n);
    await until(() =>
      tenants.every((tenant) => {
        const last = expected(tenant).at(-1);
        return last === undefined || test.sink.changes(tenant, "todos").at(-1)?.id === String(last);
      }),
    );
    for (const tenant of tenants) {
      const seen = test.sink.changes(tenant, "todos").map(({ id }) => Number(id));
      const all = expected(tenant);
      // In order, once, and without a gap up to the last one …
      expect(seen).toEqual(all.slice(all.length - seen.length));
      // … and from the join on at the latest.
      const owed = all.filter((n) => n > (joinedAfter.get(tenant) ?? 0));
      expect(seen).toEqual(expect.arrayContaining(owed));
    }
    expect(test.sink.changes("t0", "todos").map(({ id }) => Number(id))).toEqual(expected("t0"));
    expect(test.sink.resets).toEqual([]);
  });

  it("are gathered: many at a time open few streams", async () => {
    const test = await open();
    await test.watch("first", "todos");
    const before = test.source.stats().opens;
    await Promise.all(Array.from({ length: 300 }, (_, n) => test.watch(`t${String(n)}`, "todos")));
    expect(test.source.stats().opens - before).toBeLessThan(10);
    await database.insert("todos", { _id: 1, tenantId: "t299" }, { _id: 2, tenantId: "first" });
    await test.sink.next("t299", "todos", 1);
    await test.sink.next("first", "todos", 1);
  });

  it("can leave and come back while the stream is opened again", async () => {
    const test = await open({ settings: { leaveDelayMs: 5, joinWindowMs: 1 } });
    await test.watch("stays", "todos");
    let n = 0;
    const sent: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      test.source.unwatch({ tenant: "comes", collection: "todos" });
      await delay(round % 8);
      await Promise.all([test.watch("comes", "todos"), test.watch(`other${String(round)}`, "todos")]);
      n += 1;
      await database.insert(
        "todos",
        { _id: n, tenantId: "comes" },
        { _id: `s${String(n)}`, tenantId: "stays" },
      );
      sent.push(n);
      await until(() => test.sink.changes("comes", "todos").at(-1)?.id === String(n));
    }
    await until(() => test.sink.changes("stays", "todos").at(-1)?.id === `s${String(n)}`);
    expect(test.sink.changes("comes", "todos").map(({ id }) => Number(id))).toEqual(sent);
    expect(test.sink.changes("stays", "todos").map(({ id }) => id)).toEqual(sent.map((m) => `s${String(m)}`));
  });

  it("close the stream when nobody is left", async () => {
    const test = await open({ settings: { leaveDelayMs: 20 } });
    await test.watch("a", "todos");
    expect(test.source.stats().streams).toBe(1);
    test.source.unwatch({ tenant: "a", collection: "todos" });
    await until(() => test.source.stats().streams === 0);
    await test.watch("a", "todos");
    await database.insert("todos", { _id: 1, tenantId: "a" });
    await test.sink.next("a", "todos", 1);
  });

  it("get their own changes when they are too many to ask for", async () => {
    const test = await open({ settings: { maxMatchedTenants: 2, leaveDelayMs: 20 } });
    const tenants = ["a", "b", "c", "d"];
    for (const tenant of tenants.slice(0, 3)) await test.watch(tenant, "todos");
    for (const round of [1, 2]) {
      const documents = tenants.map((tenantId) => ({ _id: `${tenantId}${String(round)}`, tenantId }));
      await database.insert("todos", ...documents);
      for (const tenant of tenants.slice(0, 3)) await test.sink.next(tenant, "todos", round);
    }
    test.source.unwatch({ tenant: "c", collection: "todos" });
    await until(() => test.source.stats().watchedChannels === 2);
    await database.insert("todos", { _id: "c3", tenantId: "c" }, { _id: "a3", tenantId: "a" });
    await test.sink.next("a", "todos", 3);
    expect(test.sink.changes("c", "todos")).toHaveLength(2);
    expect(test.sink.changes("d", "todos")).toEqual([]);
    expect(test.sink.resets).toEqual([]);
  });

  it("are refused beyond the bound on streams, in a sentence that names it", async () => {
    await database.createCollection("notes");
    const test = await open({ settings: { maxStreams: 1 } });
    await test.watch("a", "todos");
    await expect(test.watch("a", "notes")).rejects.toMatchObject({
      code: "source_unavailable",
      message: expect.stringContaining("maxStreams"),
    });
  });
});
