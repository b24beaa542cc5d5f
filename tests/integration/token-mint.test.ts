import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt } from "jose";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../packages/server/src/config/load-config.ts";
import { startServer } from "../../packages/server/src/server.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { mintToken, requestToken, type TokenAnswer } from "../support/realtime-token.ts";
import { createTenant } from "../support/tenant.ts";
import { until } from "../support/until.ts";

const MAX_TOKEN_SECONDS = 3600;
const MAX_GRANTS = 5;

let server: TestServer;
let acme: TestTenant;

beforeAll(async () => {
  server = await startTestServer({
    plans: { pro: { maxTokenSeconds: MAX_TOKEN_SECONDS }, team: { maxTokenSeconds: 60 } },
    tokens: { maxGrants: MAX_GRANTS, maxLength: 1024 },
  });
  await server.database.query(
    `create table messages (id bigint primary key, tenant_id text, body text);
     create table notifications (id bigint primary key, tenant_id text, body text);
     create table without_tenant (id bigint primary key)`,
  );
  acme = await server.createTenant("acme");
  await until(async () => (await request({ collections: ["messages", "notifications"] })).status === 200);
});

afterAll(() => server.close());

function request(body: unknown, key: string | undefined = acme.secretKey): Promise<TokenAnswer> {
  return requestToken(server.url, key, body);
}

function claimsOf({ body }: TokenAnswer): Record<string, unknown> {
  return decodeJwt(String(body["token"]));
}

describe("minting", () => {
  it("answers the documentation's request with a token and its end", async () => {
    const before = Date.now();
    const answer = await request({ collections: ["messages", "notifications"], permissions: ["read"] });
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.body)).toEqual(["token", "expiresAt"]);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const claims = claimsOf(answer);
    expect(claims).toMatchObject({
      tenant: "acme",
      collections: ["messages", "notifications"],
      topics: [],
      permissions: ["read"],
    });
    const { iat, exp } = claims as { iat: number; exp: number };
    expect(exp - iat).toBe(900);
    expect(iat * 1000).toBeGreaterThan(before - 1000);
    expect(iat * 1000).toBeLessThanOrEqual(Date.now());
    expect(answer.body["expiresAt"]).toBe(new Date(exp * 1000).toISOString());
  });

  it("takes the key in the apikey header too", async () => {
    const body = { collections: ["messages"] };
    const answer = await requestToken(server.url, undefined, body, { apikey: acme.secretKey });
    expect(answer.status).toBe(200);
  });

  it("takes topics, with and without collections, and reads without being told", async () => {
    const answer = await request({ topics: ["order.*", "user.1.>"] });
    expect(claimsOf(answer)).toMatchObject({
      collections: [],
      topics: ["order.*", "user.1.>"],
      permissions: ["read"],
    });
    const both = await request({ collections: ["messages"], topics: [">"] });
    expect(claimsOf(both)).toMatchObject({ collections: ["messages"], topics: [">"] });
  });

  it("ignores repetitions", async () => {
    const answer = await request({
      collections: Array.from({ length: 20 }, () => "messages"),
      topics: ["a", "a"],
      permissions: ["read", "read"],
    });
    expect(claimsOf(answer)).toMatchObject({
      collections: ["messages"],
      topics: ["a"],
      permissions: ["read"],
    });
  });

  it("lasts as asked, up to the plan's maximum, by default at most that", async () => {
    const lifetimeOf = (answer: TokenAnswer): number =>
      Number(claimsOf(answer)["exp"]) - Number(claimsOf(answer)["iat"]);
    for (const expiresIn of [1, 61, MAX_TOKEN_SECONDS]) {
      expect(lifetimeOf(await request({ collections: ["messages"], expiresIn }))).toBe(expiresIn);
    }
    const team = await server.createTenant("team", "team");
    expect(lifetimeOf(await request({ collections: ["messages"] }, team.secretKey))).toBe(60);
    const beyond = await request({ collections: ["messages"], expiresIn: 61 }, team.secretKey);
    expect(beyond).toMatchObject({ status: 400, body: { code: "invalid_request" } });
    expect(beyond.body["detail"]).toMatch(/"expiresIn" .*60 seconds .*plan "team"/);
  });

  it("is in the API's description", async () => {
    const description = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { responses: object }>>;
    };
    const operation = description.paths["/realtime/token"]?.["post"];
    expect(Object.keys(operation?.responses ?? {})).toEqual(
      expect.arrayContaining(["200", "400", "401", "403", "404"]),
    );
  });
});

describe("a body that is refused", () => {
  const collections = ["messages"];

  it.each<[string, unknown, string, RegExp]>([
    ["nothing named", {}, "invalid_request", /"collections", "topics"/],
    ["only permissions", { permissions: ["read"] }, "invalid_request", /"collections", "topics"/],
    ["no collections in the list", { collections: [] }, "invalid_request", /"collections".*empty/],
    ["no topics in the list", { collections, topics: [] }, "invalid_request", /"topics".*empty/],
    [
      "no permissions in the list",
      { collections, permissions: [] },
      "invalid_request",
      /"permissions".*empty/,
    ],
    [
      "an unknown permission",
      { collections, permissions: ["read", "write"] },
      "invalid_request",
      /"permissions\.1".*"read"/,
    ],
    ["a permission as text", { collections, permissions: "read" }, "invalid_request", /"permissions".*list/],
    ["a collection as text", { collections: "messages" }, "invalid_request", /"collections".*list/],
    ["a collection that is a number", { collections: [5] }, "invalid_request", /"collections\.0".*text/],
    ["an empty collection", { collections: [""] }, "invalid_request", /"collections\.0".*empty/],
    ["null", { collections: null }, "invalid_request", /"collections".*list/],
    ["a topic that is none", { topics: ["a..b"] }, "invalid_topic", /"topics"/],
    ["a topic that is a number", { topics: [1] }, "invalid_request", /"topics\.0".*text/],
    ["no time", { collections, expiresIn: 0 }, "invalid_request", /"expiresIn".*1 or more/],
    ["a negative time", { collections, expiresIn: -5 }, "invalid_request", /"expiresIn".*1 or more/],
    ["half a second", { collections, expiresIn: 0.5 }, "invalid_request", /"expiresIn".*whole/],
    ["a time as text", { collections, expiresIn: "900" }, "invalid_request", /"expiresIn".*whole/],
    [
      "a time beyond the plan's",
      { collections, expiresIn: MAX_TOKEN_SECONDS + 1 },
      "invalid_request",
      /"expiresIn".*3600 seconds/,
    ],
    ["an immense time", { collections, expiresIn: 1e300 }, "invalid_request", /"expiresIn"/],
    ["an unknown member", { collections, tenant: "other" }, "invalid_request", /"tenant"/],
    ["filters as text", { collections, filters: "{}" }, "invalid_filter", /^filters is not an object/],
    ["null filters", { collections, filters: null }, "invalid_filter", /^filters is not an object/],
    [
      "a filter as text",
      { collections, filters: { messages: "{}" } },
      "invalid_filter",
      /^filters\.messages/,
    ],
    [
      "a filter with an unknown operator",
      { collections, filters: { messages: { id: { $where: "1" } } } },
      "invalid_filter",
      /^filters\.messages\.id\.\$where/,
    ],
    [
      "a filter for what the token does not grant",
      { collections: ["messages"], filters: { notes: { id: 1 } } },
      "invalid_request",
      /^filters\.notes.*"collections"/,
    ],
    [
      "a filter for a topic",
      { topics: ["a"], filters: { a: { id: 1 } } },
      "invalid_request",
      /^filters\.a.*"collections"/,
    ],
    ["too many", { collections, topics: ["a", "b", "c", "d", "e"] }, "invalid_request", /more than 5/],
    [
      "too much text",
      { topics: ["a", "b", "c", "d"].map((letter) => letter.repeat(250)) },
      "invalid_request",
      /1024/,
    ],
    ["a list", [], "invalid_request", /body/],
    ["no JSON", "{", "invalid_request", /JSON/],
  ])("%s", async (_name, body, code, detail) => {
    const answer = await request(body);
    expect(answer).toMatchObject({ status: 400, body: { code } });
    expect(answer.body["detail"]).toMatch(detail);
  });

  it("a table that is no collection, or is unknown", async () => {
    const unknown = await request({ collections: ["messages", "nowhere"] });
    expect(unknown).toMatchObject({ status: 404, body: { code: "collection_not_found" } });
    expect(unknown.body["detail"]).toContain('"nowhere"');
    const unusable = await request({ collections: ["without_tenant"] });
    expect(unusable).toMatchObject({ status: 400, body: { code: "collection_not_usable" } });
  });

  it("one that is too large, or of another type", async () => {
    const large = await request({ collections: ["x".repeat(70_000)] });
    expect(large).toMatchObject({ status: 413, body: { code: "payload_too_large" } });
    const headers = { "content-type": "text/plain" };
    const other = await requestToken(server.url, acme.secretKey, "{}", headers);
    expect(other).toMatchObject({ status: 415, body: { code: "unsupported_media_type" } });
  });
});

describe("who may mint", () => {
  const body = { collections: ["messages"] };

  it("nobody without a key, with an unknown one, or with one in the query", async () => {
    expect(await requestToken(server.url, undefined, body)).toMatchObject({
      status: 401,
      body: { code: "unauthorized" },
    });
    const unknown = `flc_secret_${"x".repeat(40)}`;
    expect(await request(body, unknown)).toMatchObject({ status: 401, body: { code: "key_revoked" } });
    const response = await fetch(`${server.url}/realtime/token?apikey=${acme.anonKey}`, { method: "POST" });
    expect(response.status).toBe(401);
  });

  it("not a tenant without realtime, whatever else is wrong, and the sentence says what to do", async () => {
    const free = await server.createTenant("free", "free");
    for (const key of [free.secretKey, free.anonKey]) {
      const answer = await request("{", key);
      expect(answer).toMatchObject({ status: 403, body: { code: "plan_required" } });
      expect(answer.body["detail"]).toMatch(/"free".*move the tenant to pro or team/);
    }
  });

  it("not an anon key, whatever else is wrong", async () => {
    const answer = await request("{", acme.anonKey);
    expect(answer).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect(answer.body["detail"]).toMatch(/anon key .*secret key/);
  });

  it("not a token; nor may it publish", async () => {
    const token = await mintToken(server.url, acme.secretKey, { collections: ["messages"], topics: [">"] });
    const answer = await request(body, token);
    expect(answer).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect(answer.body["detail"]).toMatch(/token .*secret key/);
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const event = JSON.stringify({ topic: "a", data: 1 });
    const publish = await fetch(`${server.url}/v1/events/publish`, { method: "POST", headers, body: event });
    expect(publish.status).toBe(403);
    const query = await fetch(`${server.url}/realtime/token?token=${token}`, { method: "POST" });
    expect(query.status).toBe(401);
  });

  it("a limited key only what it grants, before it is told what exists", async () => {
    const limited = await server.createKey("acme", { role: "secret", collections: ["messages", "later"] });
    expect((await request(body, limited.key)).status).toBe(200);
    const refused = { status: 403, body: { code: "forbidden" } };
    expect(await request({ collections: ["messages", "notifications"] }, limited.key)).toMatchObject(refused);
    expect(await request({ collections: ["nowhere"] }, limited.key)).toMatchObject(refused);
    expect(await request({ collections: ["messages"], topics: ["a"] }, limited.key)).toMatchObject(refused);
    expect((await request({ collections: ["later"] }, limited.key)).status).toBe(404);
  });
});

describe("the secret", () => {
  let database: TestDatabase;
  let dataDir: string;
  let lines: string[];

  beforeEach(async () => {
    lines = [];
    dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-tokens-"));
    database = await createDatabase();
  });

  afterEach(async () => {
    await database.drop();
    await rm(dataDir, { recursive: true });
  });

  /** Runs a server that logs everything into `lines`. */
  async function withServer(env: Record<string, string>, use: (url: string) => Promise<void>): Promise<void> {
    const all = { DATABASE_URL: database.url, PAPERDB_DATA_DIR: dataDir, PAPERDB_ADMIN_KEY: "admin", ...env };
    const log = pino({ level: "trace" }, { write: (line) => lines.push(line) });
    const running = await startServer(loadConfig(all, dataDir, { port: 0 }), log);
    try {
      await use(running.url);
    } finally {
      await running.close();
    }
  }

  async function requireStream(url: string, token: string): Promise<void> {
    const response = await fetch(`${url}/v1/events/subscribe?topic=a&token=${token}`);
    expect(response.status).toBe(200);
    await response.body?.cancel();
  }

  it("is made where there is none, kept for its owner only, and good after a restart", async () => {
    let token = "";
    await withServer({}, async (url) => {
      const tenant = await createTenant(url, "admin", "acme");
      token = await mintToken(url, tenant.secretKey, { topics: ["a"] });
    });
    const file = join(dataDir, "token-secret");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await readFile(file, "utf8")).length).toBeGreaterThanOrEqual(32);
    await withServer({}, (url) => requireStream(url, token));
    expect(lines.join("")).not.toMatch(/TOKEN_SECRET/);
  });

  it("is accepted when it is short, with a warning; neither it nor a token is ever logged", async () => {
    const secret = "short-hunter2";
    let token = "";
    await withServer({ PAPERDB_TOKEN_SECRET: secret }, async (url) => {
      const tenant = await createTenant(url, "admin", "acme");
      token = await mintToken(url, tenant.secretKey, { topics: ["a"] });
      await requireStream(url, token);
      const refused = await fetch(`${url}/v1/events/subscribe?topic=b&token=${token}`);
      expect(refused.status).toBe(403);
      const damaged = await fetch(`${url}/v1/events/subscribe?topic=a&token=${token}x`);
      expect(damaged.status).toBe(401);
    });
    expect(lines.filter((line) => line.includes("PAPERDB_TOKEN_SECRET"))).toEqual([
      expect.stringMatching(/"level":40.*32 characters/),
    ]);
    const logged = lines.join("");
    expect(logged).toContain("/realtime/token");
    for (const part of [secret, ...token.split(".")]) expect(logged).not.toContain(part);
  });
});
