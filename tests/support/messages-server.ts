import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import type { TestDatabase } from "./postgres.ts";
import { startTestServer, type TestServer, type TestTenant } from "./realtime-server.ts";
import { mintToken } from "./realtime-token.ts";
import { until } from "./until.ts";
import { WebSocketClient, type WebSocketClientOptions } from "./websocket-client.ts";

/** The one secret that {@link MessagesServer} signs and accepts. */
export const TOKEN_SECRET = "the-secret-of-this-test-0123456789abcdef";

/** A server with two tenants, and the tables `messages` and `notifications`, both live. */
export class MessagesServer {
  readonly server: TestServer;
  readonly acme: TestTenant;
  readonly other: TestTenant;
  readonly #clients: WebSocketClient[] = [];

  private constructor(server: TestServer, acme: TestTenant, other: TestTenant) {
    this.server = server;
    this.acme = acme;
    this.other = other;
  }

  static async start(settings: ConfigInput = {}, database?: TestDatabase): Promise<MessagesServer> {
    const server = await startTestServer({ tokenSecret: TOKEN_SECRET, ...settings }, database);
    await server.database.query(
      `create table messages (id bigint generated always as identity primary key, tenant_id text, body text);
       create table notifications (like messages including all)`,
    );
    const acme = await server.createTenant("acme");
    const other = await server.createTenant("other");
    for (const collection of ["messages", "notifications"]) {
      await until(async () => {
        const probe = await server.subscribe({ collection }, acme.anonKey);
        probe.close();
        return probe.status === 200;
      });
    }
    return new MessagesServer(server, acme, other);
  }

  get url(): string {
    return this.server.url;
  }

  /** A token for both collections, unless told. */
  mint(body: unknown = { collections: ["messages", "notifications"] }, tenant = this.acme): Promise<string> {
    return mintToken(this.url, tenant.secretKey, body);
  }

  /** A `paperdb.v1` client with a token of acme's for both collections and all topics, unless told. */
  async open(options: WebSocketClientOptions = {}): Promise<WebSocketClient> {
    const token =
      options.token ?? (await this.mint({ collections: ["messages", "notifications"], topics: [">"] }));
    const client = await WebSocketClient.open(this.url, { ...options, token });
    this.#clients.push(client);
    return client;
  }

  /** A client without a subprotocol. */
  async openRaw(token?: string): Promise<WebSocketClient> {
    return this.open({ token: token ?? (await this.mint()), protocol: undefined });
  }

  /** Inserts rows, in one transaction. */
  async add(table: string, tenant: string, ...bodies: readonly string[]): Promise<void> {
    await this.server.database.query(`insert into ${table} (tenant_id, body) select $1, unnest($2::text[])`, [
      tenant,
      bodies,
    ]);
  }

  async publish(topic: string, data: unknown, tenant = this.acme): Promise<void> {
    const { status } = await this.server.publish(tenant.secretKey, { topic, data });
    if (status !== 202) throw new Error(`not published: ${status}`);
  }

  /** A metric without labels, or one with exactly these. */
  async metric(name: string, ifAbsent?: number): Promise<number> {
    const response = await fetch(`${this.url}/metrics`, { headers: { connection: "close" } });
    const line = (await response.text()).split("\n").find((text) => text.startsWith(`${name} `));
    if (line === undefined && ifAbsent !== undefined) return ifAbsent;
    if (line === undefined) throw new Error(`There is no metric ${name}.`);
    return Number(line.slice(name.length + 1));
  }

  async waitForNoConnections(): Promise<void> {
    for (const name of ["paperdb_connections", "paperdb_subscriptions"]) {
      await until(async () => (await this.metric(name)) === 0, { describe: `${name} of 0` });
    }
  }

  /** Ends all clients. */
  closeClients(): void {
    for (const client of this.#clients.splice(0)) client.close();
  }

  async close(): Promise<void> {
    this.closeClients();
    await this.server.close();
  }
}

/** What the rows of the events of {@link MessagesServer} say that a client has got. */
export function bodiesOf(client: WebSocketClient, channel?: string): unknown[] {
  return client.events(channel).map((event) => (event as { data: { body: unknown } }).data.body);
}
