import { createClient, PaperDBError, type ChangeEvent, type Client, type TopicEvent } from "paperdb";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startProxy, type TcpProxy } from "../support/proxy.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { requestToken } from "../support/realtime-token.ts";
import { SdkRecorder } from "../support/sdk-recorder.ts";
import { until } from "../support/until.ts";

let server: TestServer;
let proxy: TcpProxy;
let tenant: TestTenant;
const clients: Client[] = [];

/** A client of the tenant's backend, its WebSocket through the proxy. */
function connect(apiKey = tenant.secretKey): Client {
  const client = createClient({
    apiKey,
    baseUrl: server.url,
    realtimeUrl: proxy.url.replace("http", "ws"),
    backoff: { minMs: 20, maxMs: 200 },
  });
  clients.push(client);
  return client;
}

async function insert(table: string, body: string): Promise<string> {
  const { rows } = await server.database.query<{ id: number }>(
    `insert into ${table} (tenant_id, body) values ($1, $2) returning id`,
    [tenant.id, body],
  );
  return String(rows[0]?.id);
}

beforeAll(async () => {
  server = await startTestServer();
  for (const name of ["messages", "notifications"]) {
    await server.database.query(
      `create table ${name} (id int generated always as identity primary key, tenant_id text not null, body text)`,
    );
  }
  tenant = await server.createTenant("alice");
  for (const collection of ["messages", "notifications"]) {
    await until(
      async () =>
        (await requestToken(server.url, tenant.secretKey, { collections: [collection] })).status === 200,
    );
  }
  proxy = await startProxy(server.url);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await proxy?.close();
  await server?.close();
});

function watch(client: Client, collection = "messages"): SdkRecorder<ChangeEvent> {
  const recorder = new SdkRecorder<ChangeEvent>();
  client.realtime.subscribe(collection, recorder.listener, recorder.options);
  return recorder;
}

describe("a client with an API key", () => {
  it("tells of inserts, updates and deletes", async () => {
    const db = connect();
    const messages = watch(db);
    await until(() => messages.isLive);
    const id = await insert("messages", "hello");
    await server.database.query("update messages set body = 'bye' where id = $1", [id]);
    await server.database.query("delete from messages where id = $1", [id]);
    await until(() => messages.events.length === 3);
    const data = { id: Number(id), tenant_id: "alice" };
    expect(messages.events).toEqual([
      { type: "insert", collection: "messages", documentId: id, data: { ...data, body: "hello" } },
      { type: "update", collection: "messages", documentId: id, data: { ...data, body: "bye" } },
      { type: "delete", collection: "messages", documentId: id, data: { ...data, body: "bye" } },
    ]);
    expect(messages.statuses).toEqual(["connecting", "live"]);
    expect(db.realtime.status).toBe("live");
  });

  it("has one connection for all subscriptions, and one subscription for all listeners to the same", async () => {
    const db = connect();
    const first = watch(db);
    const second = watch(db);
    const other = watch(db, "notifications");
    await until(() => first.isLive && second.isLive && other.isLive);
    const late = watch(db);
    await until(() => late.isLive);
    await until(() => proxy.open === 1, { describe: () => `one connection, there are ${proxy.open}` });
    await insert("notifications", "n");
    await insert("messages", "m");
    await until(() => [first, second, late, other].every(({ events }) => events.length === 1));
    expect(other.events[0]).toMatchObject({ collection: "notifications", data: { body: "n" } });
    expect([...first.errors, ...second.errors, ...late.errors]).toEqual([]);
  });

  it("publishes and gets events of topics", async () => {
    const db = connect();
    const orders = new SdkRecorder<TopicEvent>();
    const off = db.events.subscribe("order.*", orders.listener, orders.options);
    await until(() => orders.isLive);
    const { id } = await db.events.publish("order.created", { id: 123 }, { idempotencyKey: "one" });
    const again = await db.events.publish("order.created", { id: 123 }, { idempotencyKey: "one" });
    await db.events.publish("other.created", { id: 124 });
    await db.events.publish("order.deleted", null);
    await until(() => orders.events.length === 2);
    expect(again.id).toBe(id);
    expect(orders.events).toEqual([
      { topic: "order.created", data: { id: 123 } },
      { topic: "order.deleted", data: null },
    ]);
    off();
  });

  it("goes on where it was when the connection is cut", async () => {
    const db = connect();
    const messages = watch(db);
    const notifications = watch(db, "notifications");
    await until(() => messages.isLive && notifications.isLive);
    await insert("messages", "before");
    await until(() => messages.events.length === 1);
    await proxy.cut();
    await until(() => messages.status === "reconnecting");
    await insert("messages", "during");
    await insert("notifications", "during too");
    await proxy.mend();
    await until(() => messages.events.length === 2 && notifications.events.length === 1);
    await insert("messages", "after");
    await until(() => messages.events.length === 3);
    expect(messages.events.map(({ data }) => data["body"])).toEqual(["before", "during", "after"]);
    expect(messages.resumed).toEqual([false, true]);
    expect([...messages.resets, ...notifications.resets]).toEqual([]);
  });

  it("ends only the subscription that is refused, and says why", async () => {
    const db = connect();
    const missing = watch(db, "no_such_table");
    const messages = watch(db);
    await until(() => messages.isLive && missing.status === "ended");
    expect(missing.errors).toMatchObject([{ code: "collection_not_found", status: 404 }]);
    expect(missing.errors[0]).toBeInstanceOf(PaperDBError);
    await insert("messages", "still here");
    await until(() => messages.events.length === 1);
  });

  it("stops and says why when the key is revoked, and tries again for a new subscription", async () => {
    const { id, key } = await server.createKey("alice", { role: "secret" });
    const db = connect(key);
    const messages = watch(db);
    await until(() => messages.isLive);
    await server.admin("DELETE", `tenants/alice/keys/${id}`);
    await until(() => messages.status === "ended");
    expect(messages.errors).toMatchObject([{ code: "key_revoked", status: 401, retryable: false }]);
    expect(db.realtime.status).toBe("closed");
    const again = watch(db);
    await until(() => again.status === "ended");
    expect(again.errors).toMatchObject([{ code: "key_revoked" }]);
  });

  it("stops and says why on a plan without realtime", async () => {
    const { secretKey } = await server.createTenant("free", "free");
    const messages = watch(connect(secretKey));
    await until(() => messages.status === "ended");
    expect(messages.errors).toMatchObject([{ code: "plan_required", status: 403 }]);
  });

  it("refuses a filter that is none as the server does", async () => {
    const db = connect();
    const filtered = new SdkRecorder<ChangeEvent>();
    db.realtime.subscribe("messages", filtered.listener, {
      ...filtered.options,
      where: { body: { $near: "x" } },
    });
    await until(() => filtered.status === "ended");
    expect(filtered.errors).toMatchObject([{ code: "invalid_filter", retryable: false }]);
  });

  it("streams, and leaves the server when the loop is left", async () => {
    const db = connect();
    const live = new SdkRecorder<ChangeEvent>();
    const bodies: unknown[] = [];
    const reading = (async () => {
      for await (const event of db.realtime.stream("messages", { onStatus: live.options.onStatus })) {
        bodies.push(event.data["body"]);
        if (bodies.length === 3) break;
      }
    })();
    await until(() => live.isLive);
    for (const body of ["a", "b", "c", "d"]) await insert("messages", body);
    await reading;
    expect(bodies).toEqual(["a", "b", "c"]);
    await until(() => db.realtime.status === "idle");
  });

  it("streams all to a slow consumer, in order, with a bounded buffer, beside one that is not slow", async () => {
    const db = connect();
    const fast = watch(db);
    const iterator = db.realtime.stream("messages", { maxBuffered: 10 })[Symbol.asyncIterator]();
    await until(() => fast.isLive);
    const wanted = Array.from({ length: 200 }, (_, index) => `row ${index}`);
    await server.database.query(
      "insert into messages (tenant_id, body) select 'alice', 'row ' || i from generate_series(0, 199) i",
    );
    await until(() => fast.events.length === 200);
    const bodies: unknown[] = [];
    while (bodies.length < wanted.length) {
      const { value, done } = await iterator.next();
      if (done === true) break;
      bodies.push(value.data["body"]);
    }
    expect(bodies).toEqual(wanted);
    await insert("messages", "last");
    await until(() => fast.events.length > 200);
    expect((await iterator.next()).value?.data["body"]).toBe("last");
    await iterator.return?.();
    expect(fast.events.map(({ data }) => data["body"])).toEqual([...wanted, "last"]);
    expect(fast.resets).toEqual([]);
  });
});

describe("a client with getToken", () => {
  it("asks for what it needs, and for more when it needs more", async () => {
    const backend = connect();
    const asked: (readonly string[])[] = [];
    const db = createClient({
      baseUrl: `${server.url}/`,
      getToken: ({ collections, topics }) => {
        asked.push([...collections, ...topics]);
        return backend.realtime.generateToken({ collections, topics });
      },
    });
    clients.push(db);
    const messages = watch(db);
    await until(() => messages.isLive);
    const notifications = watch(db, "notifications");
    const orders = new SdkRecorder<TopicEvent>();
    db.events.subscribe("order.*", orders.listener, orders.options);
    await until(() => notifications.isLive && orders.isLive);
    expect(asked).toEqual([["messages"], ["messages", "notifications", "order.*"]]);
    expect(messages.statuses).toEqual(["connecting", "live"]);
  });

  it("stays live over the ends of many short tokens", async () => {
    const backend = connect();
    let tokens = 0;
    const db = createClient({
      baseUrl: server.url,
      getToken: ({ collections }) => {
        tokens += 1;
        return backend.realtime.generateToken({ collections, expiresIn: 2 });
      },
    });
    clients.push(db);
    const messages = watch(db);
    await until(() => tokens >= 5);
    const before = messages.events.length;
    await insert("messages", "still here");
    await until(() => messages.events.length > before);
    expect(messages.resets).toEqual([]);
    expect(messages.errors).toEqual([]);
  });

  it("ends a subscription that its tokens do not cover, after one more token", async () => {
    const backend = connect();
    let tokens = 0;
    const db = createClient({
      baseUrl: server.url,
      getToken: () => {
        tokens += 1;
        return backend.realtime.generateToken({ collections: ["messages"] });
      },
    });
    clients.push(db);
    const messages = watch(db);
    const notifications = watch(db, "notifications");
    await until(() => messages.isLive && notifications.status === "ended");
    expect(notifications.errors).toMatchObject([{ code: "forbidden" }]);
    expect(tokens).toBe(2);
  });
});
