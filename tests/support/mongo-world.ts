import { onTestFinished } from "vitest";
import { createMongoDatabase, type TestMongoDatabase } from "./mongo.ts";
import { openMongoSource, type TestMongoSource } from "./mongo-source.ts";

/** A source, and the database that it is of. */
export interface MongoWorld extends TestMongoSource {
  readonly database: TestMongoDatabase;
}

/** Opens a source on a database of the running test's own, with these collections. Both end with the test. */
export async function openMongoWorld(
  collections: readonly string[],
  options: Partial<Parameters<typeof openMongoSource>[0]> = {},
): Promise<MongoWorld> {
  const database = await createMongoDatabase();
  onTestFinished(() => database.drop());
  for (const collection of collections) await database.createCollection(collection);
  const test = await openMongoSource({ url: database.url, ...options });
  onTestFinished(() => test.source.close());
  return { ...test, database };
}
