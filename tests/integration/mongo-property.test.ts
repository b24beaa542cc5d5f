import fc from "fast-check";
import {
  MongoBulkWriteError,
  MongoNetworkTimeoutError,
  ObjectId,
  type AnyBulkWriteOperation,
  type ClientSession,
} from "mongodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  canStartMongo,
  createMongoDatabase,
  startMongo,
  type TestMongo,
  type TestMongoDatabase,
} from "../support/mongo.ts";
import { fetchHistory, fetchOperationTime, type CommittedChange } from "../support/mongo-history.ts";
import { tenantText } from "../support/mongo-text.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { ResumingClient, type Stretch } from "../support/resuming-client.ts";
import { startServerProcess, type ServerProcess } from "../support/server-child.ts";
import type { ChangeMessage } from "../support/sse-client.ts";
import type { TestTenant } from "../support/tenant.ts";
import { until } from "../support/until.ts";

const COLLECTIONS = ["notes", "files"] as const;
/** A string, one that looks like a field path, a number and an ObjectId; the last one is nobody. */
const TENANTS = ["a", "$a.b", 7, new ObjectId("65a1b2c3d4e5f60718293a4b"), null] as const;
const SUBSCRIBERS = TENANTS.flatMap((tenant) => tenantText(tenant) ?? []);

const collection = fc.constantFrom(...COLLECTIONS);
const tenant = fc.constantFrom(...TENANTS);
const id = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constantFrom("x", "y"));

const write = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("insert" as const), id, tenant }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("update" as const), id }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("replace" as const), id, tenant }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("move" as const), id, tenant }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("update all" as const), tenant }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete all" as const), tenant }) },
);
type Write = typeof write extends fc.Arbitrary<infer T> ? T : never;

const writes = fc.array(write, { minLength: 1, maxLength: 6 });
const batch = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("single" as const), collection, writes }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("bulk" as const), collection, writes, ordered: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("transaction" as const),
      steps: fc.array(fc.record({ collection, write }), { minLength: 1, maxLength: 6 }),
      commits: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
    }),
  },
);
type Batch = typeof batch extends fc.Arbitrary<infer T> ? T : never;

const disturbance = fc.constantFrom(
  "none",
  "none",
  "database killed",
  "server killed",
  "server ended",
  "clients cut",
);
const coming = fc.record({ goes: fc.boolean(), collection, tenant: fc.constantFrom(...SUBSCRIBERS) });
/** Writers that run at the same time, subscribers that come and go, and what goes wrong meanwhile. */
const scene = fc.record({
  writers: fc.array(fc.array(batch, { minLength: 3, maxLength: 8 }), { minLength: 1, maxLength: 3 }),
  comings: fc.array(coming, { maxLength: 4 }),
  disturbance,
});
type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

/** A writer meets outages, other writers' transactions and taken ids, as it does in life: what took effect is in the oplog. */
const EXPECTED =
  /Mongo(?:Network|NetworkTimeout|ServerSelection|BulkWrite|PoolCleared|NotPrimary)|Mongo(?:Server|Transaction)Error/;
const MAX_ATTEMPTS = 3;

describe.runIf(canStartMongo)("with the database and our server killed now and then", () => {
  let mongod: TestMongo;
  let database: TestDatabase;

  beforeAll(async () => {
    mongod = await startMongo();
  });

  afterAll(() => mongod?.stop());

  it("each tenant gets exactly what was committed for it, in order, once, or an explicit reset", async () => {
    let resumes = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(scene, { minLength: 2, maxLength: 5 }), async (scenes) => {
        database = await createDatabase();
        const mongo = await createMongoDatabase(mongod.url);
        for (const name of COLLECTIONS) await mongo.createCollection(name, true);
        const since = await fetchOperationTime(mongo.db);
        const server = await startServerProcess({ databaseUrl: database.url, mongodbUrl: mongo.url });
        const run = new Run(mongo, mongod, server);
        try {
          await run.open();
          for (const each of scenes) await run.play(each);
          await run.settle();
          expect(run.findProblems(await run.insist(() => fetchHistory(mongo.db, since)))).toEqual([]);
          resumes += run.resumes;
        } finally {
          await run.close();
          await server.stop();
          await mongo.drop();
          await database.drop();
        }
      }),
      { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 4), endOnFailure: true },
    );
    // A server that always resets would pass the rest.
    expect(resumes).toBeGreaterThan(0);
  }, 600_000);
});

interface TestDocument {
  readonly _id: string | number;
  readonly tenantId: (typeof TENANTS)[number];
  readonly mark: number;
}

interface BulkOptions {
  readonly ordered?: boolean;
  readonly session?: ClientSession;
}

/** A subscriber to one channel. */
interface Subscriber {
  readonly channel: string;
  readonly client: ResumingClient;
}

class Run {
  readonly #mongo: TestMongoDatabase;
  readonly #mongod: TestMongo;
  readonly #server: ServerProcess;
  readonly #tenants = new Map<string, TestTenant>();
  readonly #present = new Map<string, Subscriber>();
  readonly #left: Subscriber[] = [];
  /** Marks of inserts that the database has acknowledged. */
  readonly #acknowledged: number[] = [];
  #transactions: Promise<void> = Promise.resolve();
  #starting: Promise<void> | undefined;
  #mark = 0;

  constructor(mongo: TestMongoDatabase, mongod: TestMongo, server: ServerProcess) {
    this.#mongo = mongo;
    this.#mongod = mongod;
    this.#server = server;
  }

  get resumes(): number {
    return [...this.#left, ...this.#present.values()].reduce((sum, { client }) => sum + client.resumes, 0);
  }

  /** Makes the tenants, and a subscriber to each of their collections that is live. */
  async open(): Promise<void> {
    for (const name of SUBSCRIBERS) this.#tenants.set(name, await this.#server.createTenant(name));
    for (const name of COLLECTIONS) for (const tenantId of SUBSCRIBERS) this.#come(name, tenantId);
    await this.#untilLive();
  }

  /** Ends what is still running, after a failure too. */
  async close(): Promise<void> {
    await Promise.all([...this.#present.values()].map(({ client }) => client.stop()));
  }

  async play({ writers, comings, disturbance: what }: Scene): Promise<void> {
    await Promise.all([
      ...writers.map((batches) => this.#write(batches)),
      this.#comeAndGo(comings),
      this.#disturb(what),
    ]);
  }

  /** Writes to every channel until each subscriber has the last write of all. */
  async settle(): Promise<void> {
    await this.#untilLive();
    for (const { channel, client } of this.#present.values()) {
      const [name = "", ...rest] = channel.split(" ");
      const owner = TENANTS.find((each) => tenantText(each) === rest.join(" "));
      const before = client.stretches.length;
      let mark = await this.#writeLast(name, owner);
      await until(
        async () => {
          if (client.last?.changes.some(({ document }) => document["mark"] === mark)) return true;
          // A reset in between may have taken it along.
          if (client.stretches.length > before) mark = await this.#writeLast(name, owner);
          return false;
        },
        { describe: () => `the last write of ${channel}` },
      );
    }
    await this.close();
  }

  /** What is not as it must be; empty when all is well. */
  findProblems(history: readonly CommittedChange[]): readonly string[] {
    const inHistory = new Set(history.flatMap(({ marks }) => marks));
    const lost = this.#acknowledged.filter((mark) => !inHistory.has(mark));
    const problems = lost.map((mark) => `The database acknowledged write ${String(mark)}, and has it not.`);
    for (const { channel, client } of [...this.#left, ...this.#present.values()]) {
      const committed = history.filter((change) => change.channel === channel);
      const stays = this.#present.get(channel)?.client === client;
      for (const [index, stretch] of client.stretches.entries()) {
        const toTheEnd = stays && index === client.stretches.length - 1;
        const fits = committed.some((_, begin) => fitsFrom(committed, begin, stretch, toTheEnd));
        const isEmpty = stretch.changes.length === 0 && !toTheEnd;
        if (!fits && !isEmpty) problems.push(explain(channel, stretch, committed));
      }
    }
    return problems;
  }

  async #untilLive(): Promise<void> {
    for (const { channel, client } of this.#present.values()) {
      await until(() => client.last !== undefined, {
        describe: `ready of ${channel}`,
      });
    }
  }

  /**
   * Repeats what the database does not answer, after starting that again. MongoDB aborts a transaction whose client
   * is gone after a minute; the stand-in keeps it, and what it has locked.
   */
  async insist<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (!isUnanswered(error) || attempt === MAX_ATTEMPTS) throw error;
        await this.#startDatabaseAgain();
      }
    }
  }

  /** Once for all that wait. */
  async #startDatabaseAgain(): Promise<void> {
    this.#starting ??= this.#mongod.kill().then(() => this.#mongod.start());
    try {
      await this.#starting;
    } finally {
      this.#starting = undefined;
    }
  }

  async #writeLast(name: string, owner: unknown): Promise<number> {
    this.#mark += 1;
    const mark = this.#mark;
    await this.insist(() => this.#mongo.insert(name, { tenantId: owner, mark }));
    return mark;
  }

  #come(name: string, tenantId: string): void {
    const channel = `${name} ${tenantId}`;
    if (this.#present.has(channel)) return;
    const client = new ResumingClient({
      serverUrl: this.#server.url,
      apikey: this.#tenants.get(tenantId)?.anonKey ?? "",
      collection: name,
      mark: () => this.#mark,
    });
    this.#present.set(channel, { channel, client });
  }

  async #comeAndGo(comings: Scene["comings"]): Promise<void> {
    for (const { goes, collection: name, tenant: tenantId } of comings) {
      const subscriber = this.#present.get(`${name} ${tenantId}`);
      if (!goes) this.#come(name, tenantId);
      else if (subscriber !== undefined) {
        this.#present.delete(subscriber.channel);
        this.#left.push(subscriber);
        await subscriber.client.stop();
      }
    }
  }

  async #disturb(what: Scene["disturbance"]): Promise<void> {
    if (what === "database killed") await this.#startDatabaseAgain();
    else if (what === "server killed" || what === "server ended") {
      await (what === "server killed" ? this.#server.kill() : this.#server.end());
      await this.#server.start();
    } else if (what === "clients cut") {
      for (const { client } of this.#present.values()) client.cut();
    }
  }

  async #write(batches: readonly Batch[]): Promise<void> {
    for (const each of batches) {
      try {
        if (each.kind === "transaction")
          await this.#inTurn(() => this.#writeTransaction(each.steps, each.commits));
        else if (each.kind === "bulk") await this.#writeBulk(each.collection, each.writes, each);
        else for (const one of each.writes) await this.#writeBulk(each.collection, [one]);
      } catch (error) {
        if (!(error instanceof Error && EXPECTED.test(error.name))) throw error;
        if (!isUnanswered(error)) continue;
        await this.#startDatabaseAgain();
        return;
      }
    }
  }

  /** Two transactions on the same documents are a conflict in MongoDB, and wait for each other for ever in the stand-in. */
  async #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#transactions.then(work);
    this.#transactions = turn.catch(() => undefined);
    await turn;
  }

  async #writeBulk(
    name: string,
    list: readonly Write[],
    { ordered = true, session }: BulkOptions = {},
  ): Promise<void> {
    const operations = list.map((one) => this.#operation(one));
    await this.#mongo.db
      .collection<TestDocument>(name)
      .bulkWrite(operations, { ordered, ...(session === undefined ? {} : { session }) });
    if (session !== undefined) return;
    const inserts = operations.flatMap((operation) =>
      "insertOne" in operation ? [operation.insertOne.document] : [],
    );
    const owned = inserts.filter((document) => document.tenantId !== null);
    this.#acknowledged.push(...owned.map((document) => document.mark));
  }

  async #writeTransaction(
    steps: readonly { readonly collection: string; readonly write: Write }[],
    commits: boolean,
  ): Promise<void> {
    const session = this.#mongo.client.startSession();
    try {
      session.startTransaction();
      for (const step of steps) await this.#writeBulk(step.collection, [step.write], { session });
      await (commits ? session.commitTransaction() : session.abortTransaction());
    } finally {
      await session.endSession();
    }
  }

  #operation(one: Write): AnyBulkWriteOperation<TestDocument> {
    this.#mark += 1;
    const mark = this.#mark;
    const filter = "id" in one ? { _id: one.id } : { tenantId: one.tenant };
    switch (one.kind) {
      case "insert":
        return { insertOne: { document: { _id: one.id, tenantId: one.tenant, mark } } };
      case "update":
        return { updateOne: { filter, update: { $set: { mark } } } };
      case "move":
        return { updateOne: { filter, update: { $set: { mark, tenantId: one.tenant } } } };
      case "replace":
        return { replaceOne: { filter, replacement: { tenantId: one.tenant, mark } } };
      case "delete":
        return { deleteOne: { filter } };
      case "update all":
        return { updateMany: { filter, update: { $set: { mark } } } };
      case "delete all":
        return { deleteMany: { filter } };
    }
  }
}

/** A bulk write's error only quotes that of the connection. */
function isUnanswered(error: unknown): boolean {
  return (
    error instanceof MongoNetworkTimeoutError ||
    (error instanceof MongoBulkWriteError && error.message.endsWith("timed out"))
  );
}

/** Whether the stretch is what was committed from `begin` on, without a gap. */
function fitsFrom(
  committed: readonly CommittedChange[],
  begin: number,
  { changes, readyAtMark }: Stretch,
  toTheEnd: boolean,
): boolean {
  const missed = committed.slice(0, begin);
  // What was written after it knew that it is live.
  if (
    missed.some(
      ({ marks, type, optional }) => !optional && type !== "delete" && (marks[0] ?? 0) > readyAtMark,
    )
  ) {
    return false;
  }
  let place = begin;
  for (const change of changes) {
    while ((committed[place]?.optional ?? false) && !isSame(committed[place], change)) place += 1;
    if (!isSame(committed[place], change)) return false;
    place += 1;
  }
  return !toTheEnd || committed.slice(place).every(({ optional }) => optional);
}

function isSame(
  committed: CommittedChange | undefined,
  { type, documentId, document }: ChangeMessage,
): boolean {
  if (committed === undefined) return false;
  const owner = committed.channel.slice(committed.channel.indexOf(" ") + 1);
  return (
    committed.type === type &&
    committed.documentId === documentId &&
    String(document["tenantId"]) === owner &&
    committed.marks.includes(Number(document["mark"]))
  );
}

function explain(channel: string, stretch: Stretch, committed: readonly CommittedChange[]): string {
  const received = stretch.changes.map(
    ({ type, documentId, document }) => `${type} ${documentId} ${String(document["mark"])}`,
  );
  const expected = committed.map(
    ({ type, documentId, marks, optional }) =>
      `${type} ${documentId} ${marks.join("|")}${optional ? "?" : ""}`,
  );
  return `${channel}, ready at ${String(stretch.readyAtMark)}:\n${received.join("\n")}\n-- committed:\n${expected.join("\n")}`;
}
