import { Socket } from "node:net";
import { Pool } from "pg";
import type { PoolClient } from "pg";
import type { Logger } from "pino";
import { migrate } from "../../postgres/migrate.ts";
import type { CatalogTable } from "./catalog-query.ts";
import { fetchTables } from "./catalog-query.ts";
import { followOwners } from "./function-owner.ts";
import { dropOrphanedFunctions, fetchOutboxMessage, sweepOutbox } from "./outbox.ts";
import { SOURCE_MIGRATIONS, SOURCE_SCHEMA_SET } from "./schema.ts";
import type { NotifySettings } from "./settings.ts";

/** The oldest PostgreSQL that has what the triggers need, as `server_version_num`. */
export const OLDEST_VERSION = 140_000;

/** Catalog, outbox, installation: few connections do, since none of it is on the way of a change. */
const CONNECTIONS = 3;

/** Longer than the catalog of a very large database takes. */
const QUERY_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 1_000;

/** Everything that a source asks its database for, besides listening. */
export class SourceDatabase {
  readonly #url: string;
  readonly #applicationName: string;
  readonly #settings: NotifySettings;
  readonly #log: Logger;
  readonly #sockets = new Set<Socket>();
  #pool: Pool;
  #encoding = "UTF8";

  constructor(url: string, applicationName: string, settings: NotifySettings, log: Logger) {
    this.#url = url;
    this.#applicationName = applicationName;
    this.#settings = settings;
    this.#log = log;
    this.#pool = this.#createPool();
  }

  /** The connections of now: {@link reset} replaces them. */
  get pool(): Pool {
    return this.#pool;
  }

  /** The encoding of the database, as `getdatabaseencoding()` names it. */
  get encoding(): string {
    return this.#encoding;
  }

  /** Connects, checks the version and brings schema `paperdb` up to date. */
  async prepare(): Promise<void> {
    const client = await this.#pool.connect();
    try {
      await this.#inspect(client);
      await migrate(client, SOURCE_SCHEMA_SET, SOURCE_MIGRATIONS);
    } finally {
      client.release();
    }
  }

  async fetchTables(columns: readonly string[]): Promise<readonly CatalogTable[]> {
    return fetchTables(this.#pool, columns);
  }

  async fetchQueueUsage(): Promise<number> {
    const result = await this.#pool.query<{ usage: number }>("select pg_notification_queue_usage() as usage");
    return result.rows[0]?.usage ?? 0;
  }

  async fetchOutboxMessage(id: string): Promise<string | undefined> {
    return fetchOutboxMessage(this.#pool, id);
  }

  /** Removes outbox rows that were fetched long ago, and what dropped tables left behind. */
  async sweep(retentionMs: number): Promise<void> {
    await sweepOutbox(this.#pool, retentionMs);
    await dropOrphanedFunctions(this.#pool);
  }

  /** Gives the capture functions of tables whose owner changed to the new one. */
  async followOwners(): Promise<void> {
    await followOwners(this.#pool, this.#settings.lockTimeoutMs);
  }

  /** Cuts all connections: after an outage they may hang until the system gives them up. */
  reset(): void {
    const former = this.#pool;
    this.#pool = this.#createPool();
    this.#cut();
    former.end().catch((error: unknown) => {
      this.#log.debug({ reason: String(error) }, "A cut connection did not end by itself");
    });
  }

  async close(): Promise<void> {
    const timer = setTimeout(() => {
      this.#cut();
    }, CLOSE_TIMEOUT_MS);
    await this.#pool.end();
    clearTimeout(timer);
  }

  #createPool(): Pool {
    const pool = new Pool({
      connectionString: this.#url,
      application_name: this.#applicationName,
      max: CONNECTIONS,
      connectionTimeoutMillis: this.#settings.connectTimeoutMs,
      query_timeout: this.#settings.connectTimeoutMs + QUERY_TIMEOUT_MS,
      keepAlive: true,
      allowExitOnIdle: true,
      stream: () => this.#createSocket(),
    });
    pool.on("error", (error) => {
      this.#log.debug({ reason: error.message }, "An idle connection to the database was lost");
    });
    return pool;
  }

  #createSocket(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
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
