import {
  MongoBulkWriteError,
  MongoClient,
  MongoError,
  MongoNetworkError,
  MongoServerSelectionError,
  type Db,
  type Document,
} from "mongodb";
import { until } from "../support/until.ts";
import { MongoTransaction, type MongoStep } from "./mongo-transaction.ts";
import { imageOf } from "./mongo-values.ts";
import { Mutex } from "./mutex.ts";
import type { Store } from "./store.ts";

const RECOVERY_TIMEOUT_MS = 60_000;
/** Has the number of each transaction that took effect. */
const TRANSACTIONS = "oracle_transactions";
/** The transaction did not take effect, or nobody can tell yet. */
const PASSING_LABELS = ["TransientTransactionError", "RetryableWriteError", "UnknownTransactionCommitResult"];

const LOST_CONNECTION = /ECONN|EPIPE|connection|closed|timed out|server selection/i;

/** Opens the store on a database of MongoDB. One transaction commits at a time, so that their order is known. */
export async function openMongoStore(url: string): Promise<Store> {
  const client = new MongoClient(url, {
    promoteValues: false,
    // How soon it is noticed that the database is back.
    heartbeatFrequencyMS: 500,
    serverSelectionTimeoutMS: RECOVERY_TIMEOUT_MS,
  });
  await client.connect();
  const db = client.db();
  const mutex = new Mutex();
  const order: number[] = [];
  const stored = new Map<number, Document>();
  await db.createCollection(TRANSACTIONS);

  const commit = (id: number, steps: readonly MongoStep[]): Promise<void> =>
    mutex.run(async () => {
      try {
        await writeAll(client, db, { id, steps });
      } catch (error) {
        if (!isPassing(error) || !(await tookEffect(db, { id, steps }))) throw error;
      }
      order.push(id);
    });
  return {
    async create({ name }) {
      // An attempt that was not answered may have succeeded.
      if (await db.listCollections({ name }).hasNext()) return;
      await db.createCollection(name, { changeStreamPreAndPostImages: { enabled: true } });
    },
    begin: (id) => Promise.resolve(new MongoTransaction({ stored, commit: (steps) => commit(id, steps) })),
    wasCommitted: (id) => Promise.resolve(order.includes(id)),
    fetchCommitOrder: () => Promise.resolve(order),
    async fetchAll(collection) {
      const documents = await db.collection(collection.name).find().toArray();
      return documents.map((document) => imageOf(collection, document));
    },
    isExpected: isPassing,
    close: () => client.close(),
  };
}

interface Commit {
  readonly id: number;
  readonly steps: readonly MongoStep[];
}

/** In a transaction; a single write is one by itself. */
async function writeAll(client: MongoClient, db: Db, { id, steps }: Commit): Promise<void> {
  const single = singleWrite(steps);
  if (single !== undefined) {
    await db.collection(single.collection).bulkWrite([...single.writes]);
    return;
  }
  const session = client.startSession();
  try {
    session.startTransaction();
    await db.collection<{ _id: number }>(TRANSACTIONS).insertOne({ _id: id }, { session });
    for (const { collection, writes } of steps) {
      if (writes.length > 0) await db.collection(collection).bulkWrite([...writes], { session });
    }
    await session.commitTransaction();
  } finally {
    await session.endSession().catch(() => undefined);
  }
}

function singleWrite(steps: readonly MongoStep[]): MongoStep | undefined {
  const [first, ...others] = steps;
  return others.length === 0 && first?.writes.length === 1 ? first : undefined;
}

/** Asks the database, as soon as it answers again. */
function tookEffect(db: Db, { id, steps }: Commit): Promise<boolean> {
  const single = singleWrite(steps);
  const ask = async (): Promise<{ readonly is: boolean }> => {
    if (single === undefined) {
      const found = await db.collection<{ _id: number }>(TRANSACTIONS).findOne({ _id: id });
      return { is: found !== null };
    }
    return { is: await isDone(db, single) };
  };
  return until(() => ask().catch(() => undefined), {
    timeoutMs: RECOVERY_TIMEOUT_MS,
    describe: "a database that answers again",
  }).then(({ is }) => is);
}

async function isDone(db: Db, { collection, writes: [write] }: MongoStep): Promise<boolean> {
  const found = async (filter: Document): Promise<boolean> =>
    (await db.collection(collection).findOne(filter)) !== null;
  if (write === undefined) return true;
  if ("insertOne" in write) return await found({ mark: write.insertOne.document["mark"] });
  if ("replaceOne" in write) return await found({ mark: write.replaceOne.replacement["mark"] });
  if ("updateOne" in write) {
    const { update } = write.updateOne;
    return Array.isArray(update) ? false : await found({ mark: update.$set?.["mark"] });
  }
  if ("deleteOne" in write) return !(await found({ _id: write.deleteOne.filter["_id"] }));
  throw new Error("Nobody writes like that.");
}

function isPassing(error: unknown): boolean {
  // Of a network error it has the text only.
  if (error instanceof MongoBulkWriteError && LOST_CONNECTION.test(error.message)) return true;
  if (error instanceof MongoNetworkError || error instanceof MongoServerSelectionError) return true;
  return error instanceof MongoError && PASSING_LABELS.some((label) => error.hasErrorLabel(label));
}
