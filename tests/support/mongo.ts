import { randomBytes } from "node:crypto";
import { MongoClient, type Db, type Document } from "mongodb";
import { inject } from "vitest";
import { until } from "./until.ts";

export { canStartMongo, startMongo, type TestMongo } from "./own-mongo.ts";

/** A database of a test's own. */
export interface TestMongoDatabase {
  /** Its path is the database's name. */
  readonly url: string;
  readonly name: string;
  readonly client: MongoClient;
  readonly db: Db;
  /** Makes an empty collection; where `preImages` is given, with or without them. */
  createCollection(name: string, preImages?: boolean): Promise<void>;
  /**
   * The same after it was dropped. The stand-in sometimes has an empty one again when its database is
   * dropped: that goes too.
   */
  recreateCollection(name: string, preImages?: boolean): Promise<void>;
  insert(collection: string, ...documents: readonly Document[]): Promise<void>;
  /** Removes it and ends the client. */
  drop(): Promise<void>;
}

/** A new database on the run's server, or on the one whose URL is given. */
export async function createMongoDatabase(serverUrl?: string): Promise<TestMongoDatabase> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  const url = withDatabase(serverUrl ?? inject("mongoUrl"), name);
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 60_000, socketTimeoutMS: 60_000 });
  await client.connect();
  const db = client.db(name);
  const createCollection: TestMongoDatabase["createCollection"] = async (collection, preImages) => {
    const options = preImages === undefined ? {} : { changeStreamPreAndPostImages: { enabled: preImages } };
    await db.createCollection(collection, options);
  };
  return {
    url,
    name,
    client,
    db,
    createCollection,
    async recreateCollection(collection, preImages) {
      await until(
        async () => {
          const [left] = await db.listCollections({ name: collection }).toArray();
          if (left === undefined) return true;
          await db.dropCollection(collection);
          return false;
        },
        { describe: "a database without the collection" },
      );
      await createCollection(collection, preImages);
    },
    async insert(collection, ...documents) {
      await db.collection(collection).insertMany([...documents]);
    },
    async drop() {
      await db.dropDatabase();
      await client.close();
    },
  };
}

/** A connection URL with another database. */
export function withDatabase(serverUrl: string, name: string): string {
  // Not the URL class: a list of hosts is none that it can read.
  const [, server = "", query = ""] = /^([^/]+\/\/[^/?]+)(?:\/[^?]*)?(\?.*)?$/.exec(serverUrl) ?? [];
  const authenticates = server.includes("@") && !query.includes("authSource=");
  const options = authenticates ? `${query === "" ? "?" : `${query}&`}authSource=admin` : query;
  return `${server}/${name}${options}`;
}
