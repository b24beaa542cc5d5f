import { MongoClient, type Collection, type Document } from "mongodb";
import { startMongo } from "../../tests/support/own-mongo.ts";

/** A database with one collection, in a server of the benchmark's own. */
export interface BenchMongo {
  readonly url: string;
  readonly pid: number;
  readonly database: string;
  readonly collection: Collection;
  /** Inserts documents for tenants `t0` … in turn, numbered from `first`. */
  insert(count: number, tenants: number, first?: number): Promise<void>;
  stop(): Promise<void>;
}

const BATCH = 100;
const TITLE = "A document of about two hundred bytes, as JSON. ".repeat(3);

/** Starts it. */
export async function startBenchMongo(): Promise<BenchMongo> {
  const server = await startMongo({ syncOnCommit: false });
  const database = "bench";
  const url = server.url.replace("/?", `/${database}?`);
  const client = new MongoClient(url);
  const db = client.db(database);
  await db.createCollection("messages", { changeStreamPreAndPostImages: { enabled: true } });
  const collection = db.collection("messages");
  return {
    url,
    pid: server.pid,
    database,
    collection,
    async insert(count, tenants, first = 0) {
      for (let done = 0; done < count; done += BATCH) {
        const documents: Document[] = Array.from({ length: Math.min(BATCH, count - done) }, (_, index) => {
          const n = first + done + index;
          return { tenantId: `t${String(n % tenants)}`, n, title: TITLE };
        });
        await collection.insertMany(documents);
      }
    },
    async stop() {
      await client.close();
      await server.stop();
    },
  };
}
