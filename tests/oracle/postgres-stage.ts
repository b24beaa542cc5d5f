import { Client } from "pg";
import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { startOwnPostgres } from "../support/own-postgres.ts";
import { until } from "../support/until.ts";
import { hiddenOf, isDiscovered } from "./hidden-columns.ts";
import type { WorldPlan } from "./plan.ts";
import { openPostgresStore } from "./postgres-store.ts";
import type { StageDatabase } from "./stage-database.ts";

const SLOT = "oracle_server";
const SLOT_TIMEOUT_MS = 60_000;

interface ConfiguredTable {
  table: string;
  tenantColumn: string;
  hide: string[];
}

/** Starts a PostgreSQL of the world's own. */
export async function openPostgresStage(): Promise<StageDatabase> {
  const server = await startOwnPostgres();
  const store = await openPostgresStore(server.url);
  const query = async (sql: string, params: readonly unknown[] = []): Promise<number> => {
    const client = new Client({ connectionString: server.url, application_name: "oracle" });
    client.on("error", () => undefined);
    await client.connect();
    try {
      return (await client.query(sql, [...params])).rowCount ?? 0;
    } finally {
      await client.end();
    }
  };
  const notSupported = (): Promise<never> => Promise.reject(new Error("That is not for PostgreSQL."));
  return {
    store,
    urls: { databaseUrl: server.url },
    sources: sourcesOf,
    async killAndStart() {
      await server.kill();
      await server.start();
    },
    async terminateBackends() {
      await query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where pid <> pg_backend_pid() and backend_type in ('client backend', 'walsender') and application_name <> 'oracle'`,
      );
    },
    dropSlot: () =>
      until(
        async () => {
          await query(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active_pid is not null",
            [SLOT],
          );
          const dropped = await query(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active",
            [SLOT],
          ).catch(() => 0);
          return dropped === 1;
        },
        { timeoutMs: SLOT_TIMEOUT_MS, intervalMs: 1, describe: "a slot that can be dropped" },
      ).then(() => undefined),
    rollOplog: notSupported,
    async close() {
      await store.close();
      await server.stop();
    },
  };
}

function sourcesOf({ source, collections }: WorldPlan): ConfigInput["sources"] {
  const tables = collections.map((collection): [string, ConfiguredTable] => {
    const { name, tenantColumn } = collection;
    return [name, { table: `public.${name}`, tenantColumn, hide: hiddenOf(collection) }];
  });
  const mode = source === "wal" ? { mode: "wal" as const, slot: SLOT } : { mode: "notify" as const };
  const listed = isDiscovered(collections) ? {} : { collections: Object.fromEntries(tables) };
  return [{ kind: "postgres", ...mode, ...listed }];
}
