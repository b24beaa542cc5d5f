import { MongoClient } from "mongodb";
import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { startMongo } from "../support/own-mongo.ts";
import { openMongoStore } from "./mongo-store.ts";
import { hiddenOf, isDiscovered } from "./hidden-columns.ts";
import type { WorldPlan } from "./plan.ts";
import type { StageDatabase } from "./stage-database.ts";

const HISTORY_LOST = 286;

/** Starts a MongoDB of the world's own. Keys are in the PostgreSQL that our server brings along. */
export async function openMongoStage(): Promise<StageDatabase> {
  const server = await startMongo({ args: ["--enable-test-commands"] });
  const url = server.url.replace("/?", "/app?");
  const store = await openMongoStore(url);
  const notSupported = (): Promise<never> => Promise.reject(new Error("That is not for MongoDB."));
  return {
    store,
    urls: { mongodbUrl: url },
    sources: sourcesOf,
    async killAndStart() {
      await server.kill();
      await server.start();
    },
    terminateBackends: notSupported,
    dropSlot: notSupported,
    // The stand-in would skip what is gone without a word; MongoDB answers so.
    rollOplog: () => failOnce(url, "getMore", HISTORY_LOST),
    async close() {
      await store.close();
      await server.stop();
    },
  };
}

async function failOnce(url: string, command: string, errorCode: number): Promise<void> {
  const client = new MongoClient(url);
  try {
    await client.db("admin").command({
      configureFailPoint: "failCommand",
      mode: { times: 1 },
      data: { failCommands: [command], errorCode },
    });
  } finally {
    await client.close();
  }
}

function sourcesOf({ collections }: WorldPlan): ConfigInput["sources"] {
  if (isDiscovered(collections)) return [{ kind: "mongodb" }];
  const listed = collections.map((collection): [string, ConfiguredCollection] => {
    const { name, tenantColumn } = collection;
    return [name, { collection: name, tenantField: tenantColumn, hide: hiddenOf(collection) }];
  });
  return [{ kind: "mongodb", collections: Object.fromEntries(listed) }];
}

interface ConfiguredCollection {
  collection: string;
  tenantField: string;
  hide: string[];
}
