import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../packages/server/src/config/load-config.ts";
import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { startServer } from "../../packages/server/src/server.ts";
import { createDatabase, type TestDatabase } from "./postgres.ts";
import { SseClient } from "./sse-client.ts";
import { until } from "./until.ts";

/** A tenant with both kinds of key. */
export interface TestTenant {
  readonly id: string;
  readonly anonKey: string;
  readonly secretKey: string;
}

/** A server of this test's own, on a database of its own. */
export interface TestServer {
  readonly url: string;
  readonly adminKey: string;
  readonly database: TestDatabase;
  /** Calls the admin API; JSON in, JSON out. */
  admin(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> }>;
  createTenant(id: string, plan?: string): Promise<TestTenant>;
  createKey(tenant: string, body: unknown): Promise<{ id: string; key: string }>;
  /** Subscribes with the query given; the key goes into the `apikey` header. */
  subscribe(
    query: Record<string, string>,
    key?: string,
    headers?: Record<string, string>,
  ): Promise<SseClient>;
  /** Subscribes to a collection once its source is live, and waits until it is live itself. */
  watch(collection: string, key: string): Promise<SseClient>;
  publish(key: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

const ADMIN_KEY = "test-admin-key";

/** Starts a server in this process. `settings` are those of the configuration file. */
export async function startTestServer(
  settings: ConfigInput = {},
  existing?: TestDatabase,
): Promise<TestServer> {
  const database = existing ?? (await createDatabase());
  const dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-server-"));
  const environment = { DATABASE_URL: database.url, PAPERDB_DATA_DIR: dataDir, PAPERDB_ADMIN_KEY: ADMIN_KEY };
  const config = loadConfig(environment, dataDir, { port: 0, logLevel: "silent", ...settings });
  const server = await startServer(config);
  const clients: SseClient[] = [];

  const admin: TestServer["admin"] = async (method, path, body) => {
    const response = await fetch(`${server.url}/v1/admin/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${ADMIN_KEY}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
    };
  };
  const createKey: TestServer["createKey"] = async (tenant, body) => {
    const answer = await admin("POST", `tenants/${encodeURIComponent(tenant)}/keys`, body);
    if (answer.status !== 201) throw new Error(`key not created: ${JSON.stringify(answer.body)}`);
    return answer.body as { id: string; key: string };
  };
  const subscribe: TestServer["subscribe"] = async (query, key, headers = {}) => {
    const url = new URL("/v1/events/subscribe", server.url);
    for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value);
    const client = await SseClient.open(url, { ...headers, ...(key === undefined ? {} : { apikey: key }) });
    clients.push(client);
    return client;
  };
  return {
    url: server.url,
    adminKey: ADMIN_KEY,
    database,
    admin,
    createKey,
    async createTenant(id, plan = "pro") {
      const { status, body } = await admin("POST", "tenants", { id, plan });
      if (status !== 201) throw new Error(`tenant not created: ${JSON.stringify(body)}`);
      const anon = await createKey(id, { role: "anon" });
      const secret = await createKey(id, { role: "secret" });
      return { id, anonKey: anon.key, secretKey: secret.key };
    },
    subscribe,
    async watch(collection, key) {
      let answer = "";
      const client = await until(
        async () => {
          const attempt = await subscribe({ collection }, key);
          answer = attempt.body;
          return attempt.status !== 503 && attempt;
        },
        { describe: () => `a source that is live, got ${answer}` },
      );
      if (client.status !== 200) throw new Error(`not watched: ${client.body}`);
      await client.waitForEvent("ready");
      return client;
    },
    publish(key, body, headers = {}) {
      return fetch(`${server.url}/v1/events/publish`, {
        method: "POST",
        headers: { apikey: key, "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      });
    },
    async close() {
      await server.close();
      for (const client of clients) client.close();
      if (existing === undefined) await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
