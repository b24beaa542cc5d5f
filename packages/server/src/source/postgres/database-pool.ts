import { Socket } from "node:net";
import { Pool } from "pg";
import type { ClientBase, PoolClient } from "pg";
import type { Logger } from "pino";
import { migrate } from "../../postgres/migrate.ts";
import type { Migration } from "../../postgres/migrate.ts";
import type { CatalogReading } from "./catalog-query.ts";
import { fetchCatalog } from "./catalog-query.ts";

/** The oldest PostgreSQL that has what the sources need, as `server_version_num`. */
export const OLDEST_VERSION = 140_000;

/** Few connections do, since none of them is on the way of a change. */
const CONNECTIONS = 3;

/** Longer than the catalog of a very large database takes. */
const QUERY_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 1_000;

/** While a standby is away, a commit that waited for it would keep the locks of the application's tables. */
const IN_NOBODYS_WAY = {
  // The pool waits for it, whatever its type says.
  onConnect: async (client: ClientBase): Promise<void> => {
    await client.query("set synchronous_commit = local");
  },
};

/** What a {@link DatabasePool} is made of. */
export interface DatabasePoolOptions {
  readonly url: string;
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
  readonly log: Logger;
}

/** The connections for everything that a source asks its database besides its changes. */
export class DatabasePool {
  readonly #options: DatabasePoolOptions;
  readonly #sockets = new Set<Socket>();
  #pool: Pool;
  #encoding = "UTF8";
  #version = 0;

  constructor(options: DatabasePoolOptions) {
    this.#options = options;
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

  /** `server_version_num`. */
  get version(): number {
    return this.#version;
  }

  /** Connects and checks the version. */
  async inspect(): Promise<void> {
    const result = await this.#pool.query<{ version: number; shown: string; encoding: string }>(
      `select current_setting('server_version_num')::int as version, current_setting('server_version') as shown,
         getdatabaseencoding()::text as encoding`,
    );
    const { version = 0, shown = "?", encoding = "UTF8" } = result.rows[0] ?? {};
    if (version < OLDEST_VERSION) {
      throw new Error(`PostgreSQL ${shown} is too old: PaperDB Realtime needs version 14 or newer.`);
    }
    this.#encoding = encoding;
    this.#version = version;
  }

  /** Brings one set of tables in schema `paperdb` up to date. */
  async migrate(set: string, migrations: readonly Migration[]): Promise<void> {
    await this.use((client) => migrate(client, set, migrations));
  }

  /** Works with one connection, which is given up when the work fails. */
  async use<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let failed = true;
    try {
      const result = await work(client);
      failed = false;
      return result;
    } finally {
      client.release(failed);
    }
  }

  /** See {@link fetchCatalog}. */
  async fetchCatalog(columns: readonly string[], knownRevision: string | undefined): Promise<CatalogReading> {
    return fetchCatalog(this.#pool, columns, knownRevision);
  }

  /** Cuts all connections: after an outage they may hang until the system gives them up. */
  reset(): void {
    const former = this.#pool;
    this.#pool = this.#createPool();
    this.#cut();
    former.end().catch((error: unknown) => {
      this.#options.log.debug({ reason: String(error) }, "A cut connection did not end by itself");
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
    const { url, applicationName, connectTimeoutMs, log } = this.#options;
    const pool = new Pool({
      connectionString: url,
      application_name: applicationName,
      max: CONNECTIONS,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: connectTimeoutMs + QUERY_TIMEOUT_MS,
      keepAlive: true,
      allowExitOnIdle: true,
      stream: () => this.#createSocket(),
      ...IN_NOBODYS_WAY,
    });
    // A lost connection that somebody works with tells all its queries; without a listener it would end the process.
    pool.on("connect", (client) => client.on("error", () => undefined));
    pool.on("error", (error) => {
      log.debug({ reason: error.message }, "An idle connection to the database was lost");
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
}
