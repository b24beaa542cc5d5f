import { afterEach, beforeEach } from "vitest";
import { createApplicationDatabase } from "./postgres-source.ts";
import type { TestDatabase } from "./postgres.ts";

/** A {@link TestDatabase} that somebody else drops. */
export interface CurrentDatabase extends Pick<TestDatabase, "url" | "name" | "pool"> {
  readonly query: TestDatabase["query"];
}

/**
 * An application's database for each test of the file that calls it, made before it and dropped after it.
 *
 * @param sql - what is in it.
 * @returns the database of the test that runs, whatever that is.
 */
export function databaseForEachTest(...sql: readonly string[]): CurrentDatabase {
  let current: TestDatabase | undefined;
  const get = (): TestDatabase => {
    if (current === undefined) throw new Error("There is a database while a test runs only.");
    return current;
  };
  beforeEach(async () => {
    current = await createApplicationDatabase();
    for (const statement of sql) await current.query(statement);
  });
  afterEach(async () => {
    const database = current;
    current = undefined;
    await database?.drop();
  });
  return {
    get url() {
      return get().url;
    },
    get name() {
      return get().name;
    },
    get pool() {
      return get().pool;
    },
    query: (text, params) => get().query(text, params),
  };
}
