import { Pool } from "pg";
import type { PoolClient } from "pg";
import type { Logger } from "pino";
import { migrate } from "../../postgres/migrate.ts";
import type { CatalogTable } from "./catalog-query.ts";
import { fetchTables } from "./catalog-query.ts";
import { fetchOutboxMessage, sweepOutbox } from "./outbox.ts";
import { SOURCE_MIGRATIONS, SOURCE_SCHEMA_SET } from "./schema.ts";
import type { NotifySettings } from "./settings.ts";

/** The oldest PostgreSQL that has what the triggers need, as `server_version_num`. */
export const OLDEST_VERSION = 140_000;

/** Catalog, outbox, installation: few connections do, since none of it is on the way of a change. */
const CONNECTIONS = 3;

/** Everything that a source asks its database for, besides listening. */
export class SourceDatabase {
  readonly pool: Pool;
  #encoding = "UTF8";

  constructor(url: string, applicationName: string, settings: NotifySettings, log: Logger) {
    this.pool = new Pool({
      connectionString: url,
      application_name: applicationName,
      max: CONNECTIONS,
      connectionTimeoutMillis: settings.connectTimeoutMs,
      query_timeout: settings.connectTimeoutMs + 30_000,
      keepAlive: true,
      allowExitOnIdle: true,
    });
    this.pool.on("error", (error) => {
      log.debug({ reason: error.message }, "An idle connection to the database was lost");
    });
  }

  /** The encoding of the database, as `getdatabaseencoding()` names it. */
  get encoding(): string {
    return this.#encoding;
  }

  /** Connects, checks the version and brings schema `paperdb` up to date. */
  async prepare(): Promise<void> {
    const client = await this.pool.connect();
    try {
      await this.#inspect(client);
      await migrate(client, SOURCE_SCHEMA_SET, SOURCE_MIGRATIONS);
    } finally {
      client.release();
    }
  }

  async fetchTables(columns: readonly string[]): Promise<readonly CatalogTable[]> {
    return fetchTables(this.pool, columns);
  }

  async fetchQueueUsage(): Promise<number> {
    const result = await this.pool.query<{ usage: number }>("select pg_notification_queue_usage() as usage");
    return result.rows[0]?.usage ?? 0;
  }

  async fetchOutboxMessage(id: string): Promise<string | undefined> {
    return fetchOutboxMessage(this.pool, id);
  }

  async sweepOutbox(retentionMs: number): Promise<void> {
    await sweepOutbox(this.pool, retentionMs);
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  async #inspect(client: PoolClient): Promise<void> {
    const result = await client.query<{ version: number; shown: string; encoding: string }>(
      `select current_setting('server_version_num')::int as version, current_setting('server_version') as shown,
         getdatabaseencoding()::text as encoding`,
    );
    const { version = 0, shown = "?", encoding = "UTF8" } = result.rows[0] ?? {};
    if (version < OLDEST_VERSION) {
      throw new Error(`PostgreSQL ${shown} is too old: PaperDB Realtime needs version 14 or newer.`);
    }
    this.#encoding = encoding;
  }
}
