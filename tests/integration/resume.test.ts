import { afterEach, describe, expect, it } from "vitest";
import { startTestServer, type TestServer } from "../support/realtime-server.ts";
import type { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

let server: TestServer;

afterEach(() => server.close());

async function subscribed(key: string, cursor?: string): Promise<SseClient> {
  return until(async () => {
    const query = { collection: "todos", ...(cursor === undefined ? {} : { cursor }) };
    const client = await server.subscribe(query, key);
    return client.status === 200 ? client : undefined;
  });
}

/** Subscribes, sees one change, and goes. Its cursor is then the newest position that the server has given out. */
async function cursorOf(key: string): Promise<string> {
  const client = await subscribed(key);
  await client.waitForEvent("ready");
  await server.database.query("insert into public.todos values (1, 'alice')");
  await client.waitForMessages(1);
  client.close();
  return client.lastEventId;
}

async function expectReset(key: string, cursor: string): Promise<void> {
  const back = await subscribed(key, cursor);
  const ready = await back.waitForEvent("ready");
  expect(back.events.map(({ event }) => event)).toEqual(["reset", "ready"]);
  expect(JSON.parse(ready.data)).toMatchObject({ resumed: false });
}

describe("resuming with a cursor after which changes were not received", () => {
  it("resets when the channel was given up meanwhile", async () => {
    server = await startTestServer({ history: { lingerMs: 0 } });
    const { database } = server;
    await database.query("create table public.todos (id int primary key, tenant_id text)");
    const { anonKey } = await server.createTenant("alice");
    const cursor = await cursorOf(anonKey);
    await until(async () => /^paperdb_channels 0$/m.test(await metrics()));
    await database.query("insert into public.todos values (2, 'alice')");
    await expectReset(anonKey, cursor);
  });

  it("resets when the table was dropped and created again meanwhile", async () => {
    server = await startTestServer();
    const { database } = server;
    await database.query("create table public.todos (id int primary key, tenant_id text)");
    const { anonKey } = await server.createTenant("alice");
    const cursor = await cursorOf(anonKey);
    await database.query("drop table public.todos");
    await until(async () => (await server.subscribe({ collection: "todos" }, anonKey)).status === 404);
    await database.query("create table public.todos (id int primary key, tenant_id text)");
    await database.query("insert into public.todos values (2, 'alice')");
    await expectReset(anonKey, cursor);
  });
});

async function metrics(): Promise<string> {
  return (await fetch(`${server.url}/metrics`)).text();
}
