import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { createDatabase, type TestDatabase } from "./postgres.ts";
import { startTestServer, type TestServer, type TestTenant } from "./realtime-server.ts";
import { mintToken } from "./realtime-token.ts";
import type { SseClient } from "./sse-client.ts";
import { until } from "./until.ts";
import { WebSocketClient } from "./websocket-client.ts";

/** More than a client that does not read makes room for. */
const LARGE_ROWS = 64;
const LARGE_ROW_BYTES = 500_000;
/** Of the large rows of {@link SnapshotServer.createTable}. */
export const FIRST_LARGE_ID = 1_000_000;

/** A server of one mode, whose tests make tables of their own: `(id, tenant_id, n, owner, body)`. */
export class SnapshotServer {
  readonly server: TestServer;
  readonly database: TestDatabase;
  readonly tenant: TestTenant;
  readonly #clients: { close(): void }[] = [];
  #tables = 0;

  private constructor(server: TestServer, database: TestDatabase, tenant: TestTenant) {
    this.server = server;
    this.database = database;
    this.tenant = tenant;
  }

  static async start(mode: "notify" | "wal", settings: ConfigInput = {}): Promise<SnapshotServer> {
    const database = await createDatabase();
    const server = await startTestServer({ sources: [{ kind: "postgres", mode }], ...settings }, database);
    // A slot waits for transactions of tests beside this one.
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
    return new SnapshotServer(server, database, await server.createTenant("acme"));
  }

  /**
   * Makes a table, and waits until it can be subscribed to.
   *
   * @param owners - of the rows, whose ids begin with 1.
   * @param large - owners of many large rows.
   */
  async createTable(owners: readonly string[] = [], large: readonly string[] = []): Promise<string> {
    this.#tables += 1;
    const name = `t${String(this.#tables)}`;
    const tenant = this.tenant.id;
    await this.run(
      [
        `create table ${name} (id int primary key, tenant_id text, n int default 1, owner text, body text)`,
        ...owners.map((owner, index) => insertSql(name, String(index + 1), tenant, owner)),
        ...large.map(
          (owner, index) =>
            `insert into ${name} select ${String(FIRST_LARGE_ID + index)} + i * ${String(large.length)}, '${tenant}', 1, '${owner}', repeat('x', ${String(LARGE_ROW_BYTES)}) from generate_series(0, ${String(LARGE_ROWS / large.length - 1)}) i`,
        ),
      ].join(";"),
    );
    let answer = "";
    await until(
      async () => {
        const probe = await this.server.subscribe({ collection: name }, this.tenant.anonKey);
        probe.close();
        answer = probe.body;
        return probe.status === 200;
      },
      { describe: () => `${name} to be a collection, got ${answer}` },
    );
    return name;
  }

  /** Inserts a row of a tenant's. */
  async add(table: string, id: number, owner = "", tenant = this.tenant.id): Promise<void> {
    await this.run(insertSql(table, String(id), tenant, owner));
  }

  async run(sql: string): Promise<void> {
    await this.database.query(sql);
  }

  /** How many rows of a table there are, of one owner or of all. */
  async count(table: string, owner?: string): Promise<number> {
    const { rows } = await this.database.query<{ count: number }>(
      `select count(*)::int from ${table} where tenant_id = $1 and owner = coalesce($2, owner)`,
      [this.tenant.id, owner],
    );
    return rows[0]?.count ?? 0;
  }

  /** A token for tables. @param filter - of all of them. */
  mint(tables: readonly string[], filter?: object): Promise<string> {
    const filters =
      filter === undefined ? {} : { filters: Object.fromEntries(tables.map((table) => [table, filter])) };
    return mintToken(this.server.url, this.tenant.secretKey, {
      collections: tables,
      topics: [">"],
      ...filters,
    });
  }

  /** A `paperdb.v1` client with such a token. */
  async open(tables: readonly string[], filter?: object): Promise<WebSocketClient> {
    const client = await WebSocketClient.open(this.server.url, { token: await this.mint(tables, filter) });
    this.#clients.push(client);
    return client;
  }

  /** Subscribes by SSE, with the tenant's key or a token. */
  async sse(query: Readonly<Record<string, string>>): Promise<SseClient> {
    const key = query["token"] === undefined ? this.tenant.anonKey : undefined;
    const client = await this.server.subscribe(query, key);
    this.#clients.push(client);
    return client;
  }

  /** Waits until so many snapshots are being read from the database. @returns which ones. */
  untilHeld(count: number): Promise<readonly string[]> {
    let held: readonly string[] = [];
    return until(
      async () => {
        held = await this.fetchHeld();
        return held.length === count && held;
      },
      { describe: () => `${String(count)} snapshots being read, got ${held.join()}` },
    );
  }

  /** The snapshots that are being read from the database: when each was begun. */
  async fetchHeld(): Promise<readonly string[]> {
    const { rows } = await this.database.query<{ begun: string }>(
      "select xact_start::text as begun from pg_stat_activity where datname = current_database() and application_name like '%snapshots' and backend_xmin is not null",
    );
    return rows.map(({ begun }) => begun);
  }

  /** Ends all clients, and waits until the server has noticed. */
  async closeClients(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    for (const name of ["paperdb_connections", "paperdb_subscriptions"]) {
      await until(async () => (await this.metric(name)) === 0, { describe: `${name} of 0` });
    }
  }

  async metric(name: string): Promise<number> {
    const response = await fetch(`${this.server.url}/metrics`, { headers: { connection: "close" } });
    const line = (await response.text()).split("\n").find((text) => text.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1));
  }

  async close(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await this.server.close();
    await this.database.drop();
  }
}

function insertSql(table: string, id: string, tenant: string, owner: string): string {
  return `insert into ${table} (id, tenant_id, owner) values (${id}, '${tenant}', '${owner}')`;
}
