import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { mintToken, replacePart, signLike, type Forgery } from "../support/realtime-token.ts";
import type { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

const SECRET = "the-secret-of-this-test-0123456789abcdef";

let server: TestServer;
let acme: TestTenant;
let other: TestTenant;

beforeAll(async () => {
  server = await startTestServer({ tokenSecret: SECRET });
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

afterAll(() => server.close());

function mint(body: unknown, tenant = acme): Promise<string> {
  return mintToken(server.url, tenant.secretKey, body);
}

function add(table: string, tenant: string, body: string): Promise<unknown> {
  return server.database.query(`insert into ${table} (tenant_id, body) values ($1, $2)`, [tenant, body]);
}

/** The code of a refused subscribe, once its answer is whole. */
async function refusal(client: SseClient): Promise<string> {
  await client.waitForEnd();
  return `${client.status} ${client.problem.code}`;
}

async function refusalOf(
  token: string,
  query: Record<string, string> = { collection: "messages" },
): Promise<string> {
  return refusal(await server.subscribe({ ...query, token }));
}

describe("a token on SSE", () => {
  it("subscribes from the query or as bearer", async () => {
    const token = await mint({ collections: ["messages"] });
    const byQuery = await server.subscribe({ collection: "messages", token });
    const authorization = `Bearer ${token}`;
    const byHeader = await server.subscribe({ collection: "messages" }, undefined, { authorization });
    for (const client of [byQuery, byHeader]) await client.waitForEvent("ready");
    await add("messages", "acme", "hello");
    for (const client of [byQuery, byHeader]) {
      expect(await client.waitForMessages(1)).toMatchObject([
        { type: "insert", document: { body: "hello" } },
      ]);
    }
  });

  it("for messages never yields notifications, nor another tenant's messages", async () => {
    const mine = await server.subscribe({
      collection: "messages",
      token: await mint({ collections: ["messages"] }),
    });
    const theirs = await mint({ collections: ["messages"] }, other);
    const others = await server.subscribe({ collection: "messages", token: theirs });
    await mine.waitForEvent("ready");
    await others.waitForEvent("ready");
    for (let round = 0; round < 5; round += 1) {
      await add("notifications", "acme", "not mine");
      await add("messages", "other", "theirs");
      await add("messages", "acme", "mine");
    }
    await mine.waitForMessages(5);
    await others.waitForMessages(5);
    expect(new Set(mine.changes.map(({ document }) => document["body"]))).toEqual(new Set(["mine"]));
    expect(new Set(others.changes.map(({ document }) => document["body"]))).toEqual(new Set(["theirs"]));
    expect([mine.messages.length, others.messages.length]).toEqual([5, 5]);
  });

  it("is refused for what it does not name", async () => {
    const token = await mint({ collections: ["messages"] });
    expect(await refusalOf(token, { collection: "notifications" })).toBe("403 forbidden");
    expect(await refusalOf(token, { collection: "nowhere" })).toBe("403 forbidden");
    expect(await refusalOf(token, { topic: "messages" })).toBe("403 forbidden");
    const onlyTopics = await mint({ topics: [">"] });
    expect(await refusalOf(onlyTopics)).toBe("403 forbidden");
  });

  it("yields the topics that it covers, and no others", async () => {
    const token = await mint({ topics: ["order.*"] });
    const wide = await server.subscribe({ topic: "order.*", token });
    const narrow = await server.subscribe({ topic: "order.created", token });
    await wide.waitForEvent("ready");
    await narrow.waitForEvent("ready");
    for (const topic of ["user.1", "order.item.added", "order.created", "order.paid"]) {
      expect((await server.publish(acme.secretKey, { topic, data: topic })).status).toBe(202);
    }
    await server.publish(other.secretKey, { topic: "order.created", data: "theirs" });
    await server.publish(acme.secretKey, { topic: "order.created", data: "last" });
    expect(await wide.waitForMessages(3)).toMatchObject([
      { data: "order.created" },
      { data: "order.paid" },
      { data: "last" },
    ]);
    expect(await narrow.waitForMessages(2)).toMatchObject([{ data: "order.created" }, { data: "last" }]);
    for (const topic of ["order.>", ">", "*.created", "user.1", "order"]) {
      expect([topic, await refusalOf(token, { topic })]).toEqual([topic, "403 forbidden"]);
    }
  });

  it("gives way to a header, and does not go with a key in the query", async () => {
    const token = await mint({ collections: ["messages"] });
    const byKey = await server.subscribe({ collection: "notifications", token }, acme.anonKey);
    expect(byKey.status).toBe(200);
    expect(await refusalOf(token, { collection: "messages", apikey: acme.anonKey })).toBe(
      "400 invalid_request",
    );
    expect(await refusalOf(acme.secretKey)).toBe("401 secret_key_in_query");
    expect(await refusalOf(acme.anonKey)).toBe("401 token_invalid");
  });
});

describe("a token that is not ours", () => {
  const forgeries: [string, string, Forgery][] = [
    ["of another secret", `${SECRET}.`, {}],
    ["for another audience", SECRET, { claims: { aud: "elsewhere" } }],
    ["without an audience", SECRET, { without: ["aud"] }],
    ["of another issuer", SECRET, { claims: { iss: "elsewhere" } }],
    ["without an end", SECRET, { without: ["exp"] }],
    ["without a tenant", SECRET, { without: ["tenant"] }],
    ["of another tenant than its key's", SECRET, { claims: { tenant: "other" } }],
    ["without a list of collections", SECRET, { without: ["collections"] }],
    ["of tomorrow", SECRET, { claims: { iat: Date.now() / 1000 + 86_400, exp: Date.now() / 1000 + 90_000 } }],
    ["of an unknown secret by name", SECRET, { header: { kid: "unknown" } }],
    ["of another algorithm", SECRET.repeat(2), { header: { alg: "HS512" } }],
  ];

  it.each(forgeries)("%s", async (_name, secret, forgery) => {
    const token = await mint({ collections: ["messages"] });
    expect(await refusalOf(await signLike(token, secret, forgery))).toBe("401 token_invalid");
  });

  it("is told from a good one by nothing else", async () => {
    const token = await signLike(await mint({ collections: ["messages"] }), SECRET);
    const client = await server.subscribe({ collection: "messages", token });
    expect(client.status).toBe(200);
  });

  it("expired, or of a key that never was", async () => {
    const token = await mint({ collections: ["messages"] });
    const late = await signLike(token, SECRET, { claims: { exp: Date.now() / 1000 - 1 } });
    expect(await refusalOf(late)).toBe("401 token_expired");
    const keyless = await signLike(token, SECRET, { claims: { key: "key_of_nobody" } });
    expect(await refusalOf(keyless)).toBe("401 key_revoked");
    const anonymous = await server.createKey("acme", { role: "anon" });
    const weak = await signLike(token, SECRET, { claims: { key: anonymous.id } });
    expect(await refusalOf(weak)).toBe("401 key_revoked");
  });

  it("with alg none, signed or not", async () => {
    const token = await mint({ collections: ["messages"] });
    for (const alg of ["none", "None", "NONE"]) {
      const unsigned = replacePart(token, 0, () => JSON.stringify({ alg, typ: "JWT" }));
      expect(await refusalOf(unsigned)).toBe("401 token_invalid");
      const [header, claims] = unsigned.split(".");
      expect(await refusalOf(`${header}.${claims}.`)).toBe("401 token_invalid");
      const authorization = `Bearer ${header}.${claims}.`;
      const bearer = await server.subscribe({ collection: "messages" }, undefined, { authorization });
      expect(await refusal(bearer)).toBe("401 token_invalid");
    }
  });

  it("changed after it was signed", async () => {
    const token = await mint({ collections: ["messages"] });
    for (const [from, to] of [
      ['"tenant":"acme"', '"tenant":"other"'],
      ['["messages"]', '["messages","notifications"]'],
      ['"topics":[]', '"topics":[">"]'],
    ] as const) {
      const changed = replacePart(token, 1, (claims) => claims.replace(from, to));
      expect(changed).not.toBe(token);
      expect(await refusalOf(changed)).toBe("401 token_invalid");
    }
  });

  it.each(["x", "a.b.c", "....", "null", "%00", "💥", "A".repeat(9000)])("garbage: %s", async (garbage) => {
    expect(await refusalOf(garbage)).toBe("401 token_invalid");
  });

  it("longer than a request may be", async () => {
    const client = await server.subscribe({ collection: "messages", token: "A".repeat(20_000) });
    expect(await refusal(client)).toBe("431 headers_too_large");
  });
});
