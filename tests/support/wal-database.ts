import { onTestFinished } from "vitest";
import { createDatabase, type TestDatabase } from "./postgres.ts";
import { until } from "./until.ts";

/** A database of the running test, for a server of mode `wal`; at the end it goes, with the server's slot. */
export async function createWalDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  onTestFinished(async () => {
    await until(async () => {
      const { rowCount } = await database.query(
        "select from pg_replication_slots where database = current_database()",
      );
      if (rowCount === 0) return true;
      await database.query(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database() and not active",
      );
      return false;
    });
    await database.drop();
  });
  return database;
}
