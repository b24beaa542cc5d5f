import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { until } from "../support/until.ts";

let server: TestServer;
let alice: TestTenant;
let bob: TestTenant;

beforeAll(async () => {
  server = await startTestServer();
  await server.database.query(
    "create table todos (id bigint generated always as identity primary key, tenant_id text not null, title text, done boolean default false)",
  );
  await server.database.query("create table no_tenant (id int primary key)");
  await server.database.query("create table no_key (tenant_id text)");
  alice = await server.createTenant("alice");
  bob = await server.createTenant("bob");
  await until(async () => {
    const probe = await server.subscribe({ collection: "todos" }, alice.anonKey);
    probe.close();
    return probe.status === 200;
  });
});

afterAll(() => server.close());

async function addTodo(tenant: string, title: string): Promise<string> {
  const { rows } = await server.database.query<{ id: string }>(
    "insert into todos (tenant_id, title) values ($1, $2) returning id",
    [tenant, title],
  );
  return rows[0]?.id ?? "";
}

describe("subscribing to a collection", () => {
  it("sends ready, then inserts, updates and deletes of the own tenant only", async () => {
    const a = await server.watch("todos", alice.anonKey);
    const b = await server.watch("todos", bob.anonKey);
    expect(a.headers["content-type"]).toBe("text/event-stream");
    expect(a.headers["cache-control"]).toBe("no-store");
    expect(a.headers["x-accel-buffering"]).toBe("no");
    expect(a.headers["access-control-allow-origin"]).toBe("*");
    const [ready] = a.events;
    expect(ready?.event).toBe("ready");
    expect(JSON.parse(ready?.data ?? "")).toEqual({ cursor: ready?.id, resumed: false });

    const id = await addTodo("alice", "buy milk");
    await server.database.query("update todos set done = true where id = $1", [id]);
    await server.database.query("delete from todos where id = $1", [id]);
    await addTodo("bob", "not for alice");
    const document = { id: Number(id), tenant_id: "alice", title: "buy milk", done: false };
    expect(await a.waitForMessages(3)).toEqual([
      { type: "insert", documentId: id, document },
      { type: "update", documentId: id, document: { ...document, done: true } },
      { type: "delete", documentId: id, document: { ...document, done: true } },
    ]);
    expect(await b.waitForMessages(1)).toMatchObject([{ document: { tenant_id: "bob" } }]);
    expect(a.messages).toHaveLength(3);
  });

  it("resumes by Last-Event-ID and by cursor=, the header winning", async () => {
    const client = await server.watch("todos", alice.anonKey);
    await addTodo("alice", "seen");
    await client.waitForMessages(1);
    const cursor = client.lastEventId;
    client.close();
    await addTodo("alice", "missed 1");
    await addTodo("alice", "missed 2");
    const byHeader = await server.subscribe({ collection: "todos", cursor: "rubbish" }, alice.anonKey, {
      "last-event-id": cursor,
    });
    const byQuery = await server.subscribe({ collection: "todos", cursor }, alice.anonKey);
    for (const back of [byHeader, byQuery]) {
      expect(JSON.parse((await back.waitForEvent("ready")).data)).toEqual({ cursor, resumed: true });
      await back.waitForMessages(2);
      expect(back.changes.map(({ document }) => document["title"])).toEqual(["missed 1", "missed 2"]);
      expect(back.named("reset")).toEqual([]);
    }
  });

  it.each(["rubbish", "x".repeat(4000), "cG9zdGdyZXM.0.0", "ZXZlbnRz.abc.00000000001", "%00", "."])(
    "resets a cursor that it cannot use: %.20s",
    async (cursor) => {
      const client = await server.subscribe({ collection: "todos", cursor }, alice.anonKey);
      const ready = await client.waitForEvent("ready");
      expect(client.events.map(({ event }) => event)).toEqual(["reset", "ready"]);
      expect(JSON.parse(client.events[0]?.data ?? "")).toEqual({ reason: expect.any(String) });
      expect(JSON.parse(ready.data)).toMatchObject({ resumed: false });
      await addTodo("alice", "after");
      await client.waitForMessages(1);
    },
  );

  it("does not let a cursor of one tenant open another tenant's history", async () => {
    const a = await server.watch("todos", alice.anonKey);
    await addTodo("alice", "private");
    await a.waitForMessages(1);
    const b = await server.subscribe({ collection: "todos", cursor: a.lastEventId }, bob.anonKey);
    await b.waitForEvent("ready");
    await addTodo("bob", "own");
    await b.waitForMessages(1);
    expect(b.changes.map(({ document }) => document["tenant_id"])).toEqual(["bob"]);
  });

  it("starts collections that are created while the server runs", async () => {
    await server.database.query("create table later (tenant_id text, id int primary key)");
    const client = await until(async () => {
      const attempt = await server.subscribe({ collection: "later" }, alice.anonKey);
      return attempt.status === 200 ? attempt : undefined;
    });
    await client.waitForEvent("ready");
    await server.database.query("insert into later values ('alice', 1)");
    await client.waitForMessages(1);
  });

  it("resets and ends the subscribers of a table that is dropped, which is then unknown", async () => {
    await server.database.query("create table brief (tenant_id text, id int primary key)");
    const client = await until(async () => {
      const attempt = await server.subscribe({ collection: "brief" }, alice.anonKey);
      return attempt.status === 200 ? attempt : undefined;
    });
    await client.waitForEvent("ready");
    await server.database.query("drop table brief");
    await client.waitForEvent("reset");
    await client.waitForEnd();
    const again = await server.subscribe({ collection: "brief" }, alice.anonKey);
    await until(() => again.body !== "");
    expect(again.problem).toMatchObject({ status: 404, code: "collection_not_found" });
  });

  it("resets all subscribers of a truncated table, on the same connection", async () => {
    const client = await server.watch("todos", alice.anonKey);
    await server.database.query("truncate todos");
    await client.waitForEvent("reset");
    await client.waitForEvent("ready", 2);
    await addTodo("alice", "first of the new ones");
    expect(await client.waitForMessages(1)).toMatchObject([{ type: "insert" }]);
  });
});

describe("a transaction larger than the history", () => {
  it("reaches a client that reads, whole", async () => {
    const rows = 20_000;
    const small = await startTestServer({ history: { maxEventsPerChannel: rows / 2 } });
    try {
      await small.database.query("create table todos (id int primary key, tenant_id text, title text)");
      const { anonKey } = await small.createTenant("alice");
      const client = await until(async () => {
        const attempt = await small.subscribe({ collection: "todos" }, anonKey);
        return attempt.status === 200 ? attempt : undefined;
      });
      await client.waitForEvent("ready");
      await small.database.query(
        "insert into todos select n, 'alice', 'row ' || n from generate_series(1, $1::int) n",
        [rows],
      );
      await until(() => client.ended || client.events.length > rows, {
        describe: () => `${rows} changes after ready, got ${client.events.length} events`,
      });
      expect(client.named("reset")).toEqual([]);
      expect(client.events).toHaveLength(rows + 1);
      const titles = client.changes.map(({ document }) => document["title"]);
      expect(titles).toEqual(Array.from({ length: rows }, (_, n) => `row ${n + 1}`));
    } finally {
      await small.close();
    }
  });
});

describe("bad subscribe requests", () => {
  const query = (text: string) => text;
  it.each([
    ["no key", query("collection=todos"), undefined, 401, "unauthorized"],
    ["a malformed key", query("collection=todos"), "hello", 401, "key_malformed"],
    ["an unknown key", query("collection=todos"), `flc_anon_${"a".repeat(43)}`, 401, "key_revoked"],
    ["no subject", query(""), "anon", 400, "invalid_request"],
    ["two subjects", query("collection=todos&topic=a"), "anon", 400, "invalid_request"],
    ["an empty collection", query("collection="), "anon", 400, "invalid_request"],
    ["a repeated collection", query("collection=todos&collection=x"), "anon", 400, "invalid_request"],
    ["a repeated key", query("collection=todos&apikey=a&apikey=b"), undefined, 400, "invalid_request"],
    ["an empty key", query("collection=todos&apikey="), undefined, 401, "unauthorized"],
    ["an unknown collection", query("collection=nowhere"), "anon", 404, "collection_not_found"],
    ["a table without tenant column", query("collection=no_tenant"), "anon", 400, "collection_not_usable"],
    ["a table without primary key", query("collection=no_key"), "anon", 400, "collection_not_usable"],
    ["a bad topic", query("topic=a..b"), "anon", 400, "invalid_topic"],
    ["where of a topic", query("topic=a&where=%7B%7D"), "anon", 400, "invalid_request"],
    ["where that is no JSON", query("collection=todos&where=a"), "anon", 400, "invalid_filter"],
    ["a repeated where", query("collection=todos&where=%7B%7D&where=%7B%7D"), "anon", 400, "invalid_request"],
    [
      "a large where",
      query(`collection=todos&where={"a":"${"x".repeat(8192)}"}`),
      "anon",
      400,
      "filter_too_large",
    ],
    ["snapshot", query("topic=a&snapshot=true"), "anon", 400, "snapshot_not_supported"],
    ["a wrong snapshot", query("collection=todos&snapshot=1"), "anon", 400, "invalid_request"],
    ["a long name", query(`collection=${"x".repeat(10_000)}`), "anon", 404, "collection_not_found"],
  ])("%s", async (_name, text, key, status, code) => {
    const client = await server.subscribe(Object.fromEntries([]), key === "anon" ? alice.anonKey : key, {});
    client.close();
    const response = await fetch(`${server.url}/v1/events/subscribe?${text}`, {
      headers: key === undefined ? {} : { apikey: key === "anon" ? alice.anonKey : key },
    });
    expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    const problem = (await response.json()) as Record<string, unknown>;
    expect(problem).toMatchObject({ status, code });
    expect(response.status).toBe(status);
    expect(String(problem["detail"]).length).toBeGreaterThan(20);
    expect(JSON.stringify(problem)).not.toContain(alice.anonKey);
  });

  it("refuses a secret key in the query, takes it in a header, and lets the header win", async () => {
    const inQuery = await server.subscribe({ collection: "todos", apikey: alice.secretKey });
    await until(() => inQuery.body !== "");
    expect(inQuery.problem).toMatchObject({ status: 401, code: "secret_key_in_query" });
    const inHeader = await server.subscribe({ collection: "todos" }, alice.secretKey);
    expect(inHeader.status).toBe(200);
    const both = await server.subscribe({ collection: "todos", apikey: bob.anonKey }, alice.anonKey);
    await both.waitForEvent("ready");
    await addTodo("alice", "for the header's tenant");
    await both.waitForMessages(1);
    const bearer = await server.subscribe({ collection: "todos" }, undefined, {
      authorization: `Bearer ${alice.anonKey}`,
    });
    expect(bearer.status).toBe(200);
  });

  it("answers a request line beyond the parser's limit", async () => {
    const response = await fetch(`${server.url}/v1/events/subscribe?collection=${"x".repeat(20_000)}`);
    expect(response.status).toBe(431);
    expect(await response.json()).toMatchObject({ code: "headers_too_large", status: 431 });
  });

  it("keeps a key to the collections that it names", async () => {
    const { key } = await server.createKey("alice", { role: "anon", collections: ["todos"] });
    expect((await server.subscribe({ collection: "todos" }, key)).status).toBe(200);
    const other = await server.subscribe({ collection: "later" }, key);
    const topic = await server.subscribe({ topic: "a" }, key);
    await until(() => other.body !== "" && topic.body !== "");
    expect(other.problem.code).toBe("forbidden");
    expect(topic.problem.code).toBe("forbidden");
  });

  it("needs a plan with realtime, and ends connections when the plan loses it", async () => {
    const carol = await server.createTenant("carol", "free");
    const refused = await server.subscribe({ collection: "todos" }, carol.anonKey);
    await until(() => refused.body !== "");
    expect(refused.problem).toMatchObject({ status: 403, code: "plan_required" });
    expect((await server.publish(carol.secretKey, { topic: "a", data: 1 })).status).toBe(403);
    await server.admin("PATCH", "tenants/carol", { plan: "pro" });
    const client = await until(async () => {
      const attempt = await server.subscribe({ collection: "todos" }, carol.anonKey);
      return attempt.status === 200 ? attempt : undefined;
    });
    await server.admin("PATCH", "tenants/carol", { plan: "free" });
    await client.waitForEnd();
  });
});

describe("connections", () => {
  it("are listed and ended by the admin, and end with their key and tenant", async () => {
    const dave = await server.createTenant("dave");
    const { id, key } = await server.createKey("dave", { role: "anon" });
    const one = await server.watch("todos", key);
    const two = await server.watch("todos", dave.anonKey);
    const three = await server.watch("todos", dave.secretKey);
    const listed = (await server.admin("GET", "connections")).body["connections"] as Record<string, string>[];
    const own = listed.filter(({ tenant }) => tenant === "dave");
    expect(own).toHaveLength(3);
    expect(JSON.stringify(listed)).not.toContain(key);
    await server.admin("DELETE", `tenants/dave/keys/${id}`);
    await one.waitForEnd();
    expect(two.ended).toBe(false);
    const target = own.find(({ keyId }) => keyId !== id);
    expect((await server.admin("DELETE", `connections/${target?.["id"] ?? ""}`)).status).toBe(204);
    await until(() => two.ended !== three.ended);
    await server.admin("DELETE", "tenants/dave");
    await two.waitForEnd();
    await three.waitForEnd();
    const again = await server.subscribe({ collection: "todos" }, dave.anonKey);
    await until(() => again.body !== "");
    expect(again.problem.code).toBe("key_revoked");
  });
});
