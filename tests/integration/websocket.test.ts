import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { mintToken } from "../support/realtime-token.ts";
import { until } from "../support/until.ts";
import { WebSocketClient, type WebSocketClientOptions } from "../support/websocket-client.ts";

let server: TestServer;
let acme: TestTenant;
let other: TestTenant;
const clients: WebSocketClient[] = [];

beforeAll(async () => {
  server = await startTestServer();
  await server.database.query(
    `create table messages (id bigint generated always as identity primary key, tenant_id text, body text);
     create table notifications (like messages including all)`,
  );
  acme = await server.createTenant("acme");
  other = await server.createTenant("other");
  for (const collection of ["messages", "notifications"]) {
    await until(async () => {
      const probe = await server.subscribe({ collection }, acme.anonKey);
      probe.close();
      return probe.status === 200;
    });
  }
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(() => server.close());

function mint(
  body: unknown = { collections: ["messages", "notifications"] },
  tenant = acme,
): Promise<string> {
  return mintToken(server.url, tenant.secretKey, body);
}

/** With a token of acme's for both collections unless told. */
async function open(options: WebSocketClientOptions = {}): Promise<WebSocketClient> {
  const client = await WebSocketClient.open(server.url, { token: await mint(), ...options });
  clients.push(client);
  return client;
}

async function openRaw(token: string): Promise<WebSocketClient> {
  return open({ token, protocol: undefined });
}

function add(table: string, tenant: string, body: string): Promise<unknown> {
  return server.database.query(`insert into ${table} (tenant_id, body) values ($1, $2)`, [tenant, body]);
}

describe("a raw WebSocket", () => {
  it("gets the changes of every collection of its token, in exactly the documented shape", async () => {
    const client = await openRaw(await mint());
    await add("messages", "acme", "one");
    await client.waitForTexts(1);
    await add("notifications", "acme", "two");
    await client.waitForTexts(2);
    await server.database.query("update messages set body = 'changed' where body = 'one'");
    await server.database.query("delete from messages where body = 'changed'");
    const texts = await client.waitForTexts(4);
    expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual([
      {
        type: "insert",
        collection: "messages",
        data: { id: expect.any(Number), tenant_id: "acme", body: "one" },
      },
      {
        type: "insert",
        collection: "notifications",
        data: { id: expect.any(Number), tenant_id: "acme", body: "two" },
      },
      {
        type: "update",
        collection: "messages",
        data: { id: expect.any(Number), tenant_id: "acme", body: "changed" },
      },
      {
        type: "delete",
        collection: "messages",
        data: { id: expect.any(Number), tenant_id: "acme", body: "changed" },
      },
    ]);
  });
});

describe("paperdb.v1", () => {
  it("subscribes", async () => {
    const client = await open();
    const ready = await client.subscribe("a", { collection: "messages" });
    await add("messages", "acme", "one");
    const event = await client.waitFor("event");
    expect(event).toMatchObject({ channel: ready.channel, event: { type: "insert", data: { body: "one" } } });
  });
});
