import { RealtimeError } from "@paperdb/protocol";
import { Pool } from "pg";
import type { Logger } from "pino";
import { migrate, MigrationError } from "../postgres/migrate.ts";
import { explainConnectFailure } from "./connect-failure.ts";
import {
  ANNOUNCEMENT_MIGRATION_SET,
  ANNOUNCEMENT_MIGRATIONS,
  TENANT_MIGRATION_SET,
  TENANT_MIGRATIONS,
} from "./migrations.ts";
import { TenantStore } from "./tenant-store.ts";

/** The open database with tenants and keys. */
export interface TenantDatabase {
  readonly pool: Pool;
  readonly store: TenantStore;
  close(): Promise<void>;
}

/** Where tenants and keys are. */
export interface TenantDatabaseOptions {
  readonly url: string;
  readonly log: Pick<Logger, "warn">;
  /** Connections at most. Default 4. */
  readonly maxConnections?: number;
  /** How long a connection or an answer may take. Default 5,000. */
  readonly timeoutMs?: number;
}

const DEFAULT_MAX_CONNECTIONS = 4;
const DEFAULT_TIMEOUT_MS = 5000;

/**
 * Connects to the database with tenants and keys, and brings its tables up to date.
 *
 * @throws {RealtimeError} `key_store_unavailable`: one sentence that says what to correct.
 * @throws {MigrationError} as {@link migrate}.
 */
export async function openTenantDatabase(options: TenantDatabaseOptions): Promise<TenantDatabase> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const pool = new Pool({
    connectionString: options.url,
    application_name: "paperdb-realtime tenants",
    max: options.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    keepAlive: true,
  });
  pool.on("error", (error) => {
    options.log.warn({ err: error }, "an idle connection to the database with tenants and keys was lost");
  });
  surviveLosses(pool);
  try {
    await prepareTables(options.url);
  } catch (error) {
    await pool.end();
    if (error instanceof MigrationError) throw error;
    throw new RealtimeError("key_store_unavailable", explainConnectFailure(error, options.url), {
      cause: error,
    });
  }
  return { pool, store: new TenantStore(pool), close: () => pool.end() };
}

/** On a connection of its own: a migration may wait for another server's longer than a query may take. */
async function prepareTables(url: string): Promise<void> {
  const pool = new Pool({ connectionString: url, max: 1, connectionTimeoutMillis: DEFAULT_TIMEOUT_MS });
  surviveLosses(pool);
  try {
    const client = await pool.connect();
    try {
      await migrate(client, TENANT_MIGRATION_SET, TENANT_MIGRATIONS);
      await migrate(client, ANNOUNCEMENT_MIGRATION_SET, ANNOUNCEMENT_MIGRATIONS);
    } finally {
      client.release(true);
    }
  } finally {
    await pool.end();
  }
}

/** A lost connection that somebody works with tells all its queries; without a listener it would end the process. */
function surviveLosses(pool: Pool): void {
  pool.on("connect", (client) => client.on("error", () => undefined));
}
