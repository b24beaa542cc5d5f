import { MongoServerError } from "mongodb";
import { expect, onTestFinished, test } from "vitest";
import {
  canStartMongo,
  createMongoDatabase,
  startMongo,
  type TestMongo,
  type TestMongoDatabase,
} from "../support/mongo.ts";
import type { TestDocument } from "../support/mongo-source.ts";
import { createDatabase } from "../support/postgres.ts";
import { startProxy } from "../support/proxy.ts";
import { ResumingClient } from "../support/resuming-client.ts";
import {
  expectNoResets,
  followRounds,
  ROUND_COLLECTIONS,
  ROUNDS_SETTINGS,
  settleRounds,
  untilWritten,
  type Rounds,
  type WriteRow,
} from "../support/sdk-rounds.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { startServerProcess, type ServerProcess } from "../support/server-child.ts";
import { until } from "../support/until.ts";

const SETTINGS = { ...ROUNDS_SETTINGS, sources: [{ kind: "mongodb" as const }] };

const DUPLICATE_KEY = 11_000;

/** Servers of one MongoDB database, with their keys in one PostgreSQL database. */
async function openServers(mongo: TestMongoDatabase): Promise<() => Promise<ServerProcess>> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  return async () => {
    const server = await startServerProcess({
      databaseUrl: database.url,
      mongodbUrl: mongo.url,
      settings: SETTINGS,
    });
    onTestFinished(() => server.stop());
    await server.untilReady();
    return server;
  };
}

async function openMongo(server?: TestMongo): Promise<TestMongoDatabase> {
  const mongo = await createMongoDatabase(server?.url);
  onTestFinished(() => (server === undefined ? mongo.drop() : mongo.client.close()));
  for (const name of ROUND_COLLECTIONS) await mongo.createCollection(name, true);
  return mongo;
}

/** Writes each document once, also when its acknowledgement was lost. */
function documentsOf({ db }: TestMongoDatabase): WriteRow {
  return async (collection, n) => {
    await untilWritten(async () => {
      try {
        await db.collection<TestDocument>(collection).insertOne({ _id: n, tenantId: "alice", n });
      } catch (error) {
        if (!(error instanceof MongoServerError && error.code === DUPLICATE_KEY)) throw error;
      }
    });
  };
}

/** SDK clients of a server, each subscribed to all collections, while they are written to. */
async function follow(mongo: TestMongoDatabase, server: ServerProcess, baseUrl: string): Promise<Rounds> {
  const { secretKey } = await server.createTenant("alice");
  return followRounds(secretKey, baseUrl, documentsOf(mongo));
}

test("a rolling restart: every event once, in order, and never a reset", async () => {
  const mongo = await openMongo();
  const startAnother = await openServers(mongo);
  let current = await startAnother();
  const proxy = await startProxy(current.url);
  onTestFinished(() => proxy.close());
  const rounds = await follow(mongo, current, proxy.url);
  for (let round = 0; round < 2; round += 1) {
    const next = await startAnother();
    await rounds.writer.progress(20);
    const ended = current.end();
    await proxy.cut();
    await proxy.mend(next.url);
    await ended;
    await rounds.writer.progress(20);
    current = next;
  }
  await settleRounds(rounds);
  expectNoResets(rounds);
}, 300_000);

test("the server is killed again and again: every event once, in order, and never a reset", async () => {
  const mongo = await openMongo();
  const server = await (await openServers(mongo))();
  const rounds = await follow(mongo, server, server.url);
  const random = seededRandom(17);
  for (let kills = 0; kills < 3; kills += 1) {
    await rounds.writer.progress(10 + 40 * random());
    await server.kill();
    await rounds.writer.progress(1 + 40 * random());
    await server.start();
  }
  await settleRounds(rounds);
  expectNoResets(rounds);
}, 300_000);

test.runIf(canStartMongo)(
  "the database is killed: every event that was committed once, in order, and never a reset",
  async () => {
    const mongod = await startMongo();
    onTestFinished(() => mongod.stop());
    const mongo = await openMongo(mongod);
    const server = await (await openServers(mongo))();
    const rounds = await follow(mongo, server, server.url);
    const random = seededRandom(19);
    for (let kills = 0; kills < 2; kills += 1) {
      await rounds.writer.progress(10 + 40 * random());
      await mongod.kill();
      await mongod.start();
    }
    await rounds.writer.progress(10);
    await settleRounds(rounds);
    expectNoResets(rounds);
  },
  300_000,
);

test("many tenants come back at once, with filters, to a server that was killed or ended", async () => {
  const mongo = await openMongo();
  const server = await (await openServers(mongo))();
  const tenants = Array.from({ length: 15 }, (_, n) => `tenant${String(n)}`);
  const owed = new Map<string, number[]>(tenants.map((tenant) => [tenant, []]));
  const clients: { readonly client: ResumingClient; readonly tenant: string; readonly even: boolean }[] = [];
  for (const [index, tenant] of tenants.entries()) {
    const { anonKey } = await server.createTenant(tenant);
    const even = index % 2 === 0;
    const where = even ? { where: JSON.stringify({ even: true }) } : {};
    const options = { serverUrl: server.url, apikey: anonKey, collection: "messages", mark: () => 0 };
    clients.push({ client: new ResumingClient({ ...options, ...where }), tenant, even });
  }
  onTestFinished(async () => {
    await Promise.all(clients.map(({ client }) => client.stop()));
  });
  await until(() => clients.every(({ client }) => client.last !== undefined));
  const stopping = new AbortController();
  const messages = mongo.db.collection<TestDocument>("messages");
  const writing = (async () => {
    for (let n = 0; !stopping.signal.aborted; n += 1) {
      const tenantId = tenants[n % tenants.length] ?? "";
      await messages.insertOne({ _id: n, tenantId, even: Math.floor(n / tenants.length) % 2 === 0 });
      owed.get(tenantId)?.push(n);
    }
  })();
  onTestFinished(async () => {
    stopping.abort();
    await writing;
  });
  const progress = async (count: number): Promise<void> => {
    const last = owed.get(tenants.at(-1) ?? "") ?? [];
    const target = last.length + count;
    await until(() => last.length >= target, { describe: "writes" });
  };
  for (const end of ["kill", "end"] as const) {
    await progress(6);
    await server[end]();
    await progress(6);
    await server.start();
    await until(() => clients.every(({ client }) => client.resumes > (end === "kill" ? 0 : 1)), {
      describe: "everybody back",
    });
  }
  await progress(4);
  stopping.abort();
  await writing;
  const expected = (tenant: string, even: boolean): readonly number[] =>
    (owed.get(tenant) ?? []).filter((n) => !even || Math.floor(n / tenants.length) % 2 === 0);
  const seen = (client: ResumingClient): readonly number[] =>
    client.stretches.flatMap(({ changes }) => changes.map(({ documentId }) => Number(documentId)));
  await until(
    () => clients.every(({ client, tenant, even }) => seen(client).length >= expected(tenant, even).length),
    { describe: "all events" },
  );
  for (const { client, tenant, even } of clients) {
    expect(seen(client)).toEqual(expected(tenant, even));
    expect(client.stretches).toHaveLength(1);
  }
}, 300_000);
