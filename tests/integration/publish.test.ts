import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RawSocket } from "../support/raw-socket.ts";
import type { SseClient } from "../support/sse-client.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { until } from "../support/until.ts";

let server: TestServer;
let alice: TestTenant;
let bob: TestTenant;

beforeAll(async () => {
  server = await startTestServer({
    publish: { maxIdempotencyKeys: 3 },
    plans: { team: { publishesPerSecond: 3 } },
  });
  alice = await server.createTenant("alice");
  bob = await server.createTenant("bob");
});

afterAll(() => server.close());

async function listen(topic: string, key = alice.anonKey): Promise<SseClient> {
  const client = await server.subscribe({ topic }, key);
  await client.waitForEvent("ready");
  return client;
}

describe("the event bus", () => {
  it("delivers to matching topics and patterns of the own tenant", async () => {
    const exact = await listen("order.created");
    const one = await listen("order.*");
    const rest = await listen("order.>");
    const other = await listen("order.>", bob.anonKey);
    const response = await server.publish(alice.secretKey, { topic: "order.created", data: { id: 123 } });
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({ id: expect.stringMatching(/.+/) });
    await server.publish(alice.secretKey, { topic: "order.item.added", data: [1, "ü", null] });
    await server.publish(bob.secretKey, { topic: "order.created", data: "bob" });
    expect(await rest.waitForMessages(2)).toEqual([
      { topic: "order.created", data: { id: 123 } },
      { topic: "order.item.added", data: [1, "ü", null] },
    ]);
    expect(await exact.waitForMessages(1)).toEqual([{ topic: "order.created", data: { id: 123 } }]);
    expect(await one.waitForMessages(1)).toEqual(exact.messages);
    expect(await other.waitForMessages(1)).toEqual([{ topic: "order.created", data: "bob" }]);
  });

  it("resumes a topic, without what the pattern leaves out", async () => {
    const client = await listen("a.*");
    await server.publish(alice.secretKey, { topic: "a.1", data: 1 });
    await client.waitForMessages(1);
    client.close();
    for (const [topic, data] of [
      ["a.2", 2],
      ["b.1", 0],
      ["a.3", 3],
    ] as const) {
      await server.publish(alice.secretKey, { topic, data });
    }
    const back = await server.subscribe({ topic: "a.*" }, alice.anonKey, {
      "last-event-id": client.lastEventId,
    });
    await back.waitForMessages(2);
    expect(back.messages).toEqual([
      { topic: "a.2", data: 2 },
      { topic: "a.3", data: 3 },
    ]);
  });

  it("publishes from SQL, inside the application's transaction", async () => {
    const client = await listen("sql.>");
    const connection = await server.database.pool.connect();
    await connection.query("begin");
    await connection.query("select paperdb.publish('alice', 'sql.rolled_back', '{}')");
    await connection.query("rollback");
    await connection.query("begin");
    await connection.query(`select paperdb.publish('alice', 'sql.one', '{"n": 12345678901234567890}')`);
    await connection.query("select paperdb.publish('bob', 'sql.one', '1')");
    await connection.query("commit");
    connection.release();
    const large = "x".repeat(100_000);
    await server.database.query("select paperdb.publish('alice', 'sql.large', to_jsonb($1::text))", [large]);
    expect(await client.waitForMessages(2)).toEqual([
      { topic: "sql.one", data: { n: "12345678901234567890" } },
      { topic: "sql.large", data: large },
    ]);
    await expect(server.database.query("select paperdb.publish('alice', 'a.*', '1')")).rejects.toThrow(
      /topic/,
    );
    await expect(server.database.query("select paperdb.publish(null, 'a', '1')")).rejects.toThrow(/tenant/);
  });

  it("publishes once for one Idempotency-Key and body", async () => {
    const client = await listen("once");
    const send = (data: unknown, key: string, tenant = alice) =>
      server.publish(tenant.secretKey, { topic: "once", data }, { "idempotency-key": key });
    const first = (await (await send(1, "k1")).json()) as { id: string };
    expect(await (await send(1, "k1")).json()).toEqual(first);
    const conflict = await send(2, "k1");
    expect(conflict.status).toBe(409);
    expect(await conflict.json()).toMatchObject({ code: "idempotency_conflict" });
    expect((await send(2, "k1", bob)).status).toBe(202);
    await send(3, "k2");
    expect(await client.waitForMessages(2)).toEqual([
      { topic: "once", data: 1 },
      { topic: "once", data: 3 },
    ]);
  });

  it("answers requests that are sent without waiting for answers, and publishes them in their order", async () => {
    // More than the log takes of one channel in a turn: some of the answers have to wait.
    const count = 600;
    const client = await listen("pipelined");
    const requests = Array.from({ length: count }, (_, n) => {
      const body = JSON.stringify({ topic: "pipelined", data: n });
      const head = `POST /v1/events/publish HTTP/1.1\r\nhost: test\r\napikey: ${alice.secretKey}\r\n`;
      return `${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    });
    const socket = await RawSocket.open(server.url, requests.join(""));
    const received = await client.waitForMessages(count);
    expect(received).toEqual(Array.from({ length: count }, (_, data) => ({ topic: "pipelined", data })));
    await until(() => socket.received.split("HTTP/1.1 202 ").length === count + 1);
    socket.close();
  });

  it("holds a plan's rate, where one is set", async () => {
    const team = await server.createTenant("team", "team");
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => server.publish(team.secretKey, { topic: "t", data: n })),
    );
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get("retry-after")).toBe("1");
    expect(await refused?.json()).toMatchObject({ code: "rate_limited" });
    expect(answers.some(({ status }) => status === 202)).toBe(true);
  });
});

describe("bad publish requests", () => {
  it.each([
    ["a wildcard", { topic: "order.*", data: 1 }, 400, "invalid_topic"],
    ["an illegal topic", { topic: "order created", data: 1 }, 400, "invalid_topic"],
    ["no topic", { data: 1 }, 400, "invalid_request"],
    ["no data", { topic: "a" }, 400, "invalid_request"],
    ["an unknown member", { topic: "a", data: 1, tenant: "bob" }, 400, "invalid_request"],
    ["no JSON", "{topic:", 400, "invalid_request"],
    ["an empty body", "", 400, "invalid_request"],
    ["an array", [], 400, "invalid_request"],
    ["a large body", { topic: "a", data: "x".repeat(1_048_576) }, 413, "payload_too_large"],
  ])("%s", async (_name, body, status, code) => {
    const response = await server.publish(alice.secretKey, body);
    expect(await response.json()).toMatchObject({ status, code });
    expect(response.status).toBe(status);
  });

  it("takes JSON only", async () => {
    const response = await server.publish(alice.secretKey, "topic=a", { "content-type": "text/plain" });
    expect(response.status).toBe(415);
    expect(await response.json()).toMatchObject({ code: "unsupported_media_type" });
  });

  it("is for secret keys, in a header", async () => {
    const anon = await server.publish(alice.anonKey, { topic: "a", data: 1 });
    expect(anon.status).toBe(403);
    expect(await anon.json()).toMatchObject({ code: "forbidden" });
    const response = await fetch(`${server.url}/v1/events/publish?apikey=${alice.secretKey}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"topic":"a","data":1}',
    });
    expect(response.status).toBe(401);
  });

  it("is for keys that are known, of those who may publish, remembered or not", async () => {
    const erin = await server.createTenant("erin");
    const codes: unknown[] = [];
    for (const key of [erin.anonKey, erin.anonKey, `flc_secret_${"x".repeat(40)}`, erin.secretKey]) {
      const response = await server.publish(key, { topic: "a", data: 1 });
      const answer = (await response.json()) as { readonly code?: string };
      codes.push([response.status, answer.code]);
    }
    expect(codes).toEqual([
      [403, "forbidden"],
      [403, "forbidden"],
      [401, "key_revoked"],
      [202, undefined],
    ]);
  });

  it("keeps numbers that a double cannot hold, as strings", async () => {
    const client = await listen("exact");
    const text =
      '{"topic":"exact","data":[12345678901234567890,0.1,12.50,1e400,"1e400",{"n":9007199254740993}]}';
    expect((await server.publish(alice.secretKey, text)).status).toBe(202);
    expect(await client.waitForMessages(1)).toEqual([
      {
        topic: "exact",
        data: ["12345678901234567890", 0.1, 12.5, "1e400", "1e400", { n: "9007199254740993" }],
      },
    ]);
  });

  it("keeps data as it was sent, keys of any name included", async () => {
    const client = await listen("raw");
    const text = '{"topic":"raw","data":{"__proto__":{"x":1},"constructor":{"prototype":1},"e":1e3}}';
    expect((await server.publish(alice.secretKey, text)).status).toBe(202);
    await client.waitForMessages(1);
    expect(client.events.at(-1)?.data).toContain('"__proto__":{"x":1}');
  });
});
