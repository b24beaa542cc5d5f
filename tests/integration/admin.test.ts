import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { adminRoutes } from "../../packages/server/src/http/admin/admin-routes.ts";
import type { ConnectionDirectory } from "../../packages/server/src/http/admin/connection-routes.ts";
import { DEFAULT_FILTER_LIMITS } from "../../packages/server/src/filter/filter-limits.ts";
import { createHttpServer } from "../../packages/server/src/http/http-server.ts";
import { openTenantDatabase } from "../../packages/server/src/tenants/tenant-database.ts";
import type { TenantDatabase } from "../../packages/server/src/tenants/tenant-database.ts";
import { createDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";

const filterLimits = DEFAULT_FILTER_LIMITS;
const ADMIN_KEY = "the-admin-key";
const log = pino({ level: "silent" });

let database: TestDatabase;
let tenants: TenantDatabase;
let app: Awaited<ReturnType<typeof createHttpServer>>;
let baseUrl = "";
const live = new Set<string>();

const directory: ConnectionDirectory = {
  list: () =>
    Array.from(live, (id) => ({
      id,
      tenant: id.slice(0, 1),
      keyId: "key_1",
      transport: "sse",
      collections: ["todos"],
      topics: [],
      remoteAddress: "127.0.0.1",
      openedAt: "2026-01-01T00:00:00.000Z",
    })),
  end: (id) => live.delete(id),
};

beforeAll(async () => {
  database = await createDatabase();
  tenants = await openTenantDatabase({ url: database.url, log });
  app = await createHttpServer({ corsOrigins: ["*"], version: "0.0.0", log });
  adminRoutes(app, { store: tenants.store, adminKey: ADMIN_KEY, connections: directory, filterLimits });
  baseUrl = await app.listen({ port: 0, host: "127.0.0.1" });
});

afterAll(async () => {
  await app.close();
  await tenants.close();
  await database.drop();
});

beforeEach(async () => {
  await database.query("delete from paperdb.tenants");
  live.clear();
});

interface Problem {
  readonly code: string;
  readonly detail: string;
}

interface NewKey {
  readonly id: string;
  readonly key: string;
}

interface Answer<Body> {
  readonly status: number;
  readonly body: Body;
}

async function call<Body = unknown>(
  method: string,
  path: string,
  body?: unknown,
  key: string = ADMIN_KEY,
): Promise<Answer<Body>> {
  const response = await fetch(`${baseUrl}/v1/admin/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status >= 400) {
    expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  }
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

/** `status code` of a problem, with the detail for a pattern to match. */
async function problem(method: string, path: string, body?: unknown, key?: string): Promise<string> {
  const { status, body: answer } = await call<Problem>(method, path, body, key);
  const { code, detail } = answer;
  return `${String(status)} ${code}: ${detail}`;
}

describe("the admin key", () => {
  test.each(["wrong", "the-admin-ke", "the-admin-keyy", "flc_secret_x"])("a wrong one: %s", async (key) => {
    expect(await problem("GET", "tenants", undefined, key)).toMatch(
      /^401 unauthorized: This is not the admin key/,
    );
  });

  test.each<[string, Record<string, string>]>([
    ["none", {}],
    ["another scheme", { authorization: `Basic ${ADMIN_KEY}` }],
    ["another header", { apikey: ADMIN_KEY }],
  ])("%s", async (_name, headers) => {
    const response = await fetch(`${baseUrl}/v1/admin/connections`, { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toMatch(/Bearer/);
    expect(await response.json()).toMatchObject({ code: "unauthorized" });
  });

  test("is asked for before anything is validated", async () => {
    expect(await problem("POST", "tenants", { bad: 1 }, "wrong")).toMatch(/^401/);
  });
});

describe("tenants", () => {
  test("create, list, move, delete", async () => {
    const created = await call("POST", "tenants", { id: "acme", plan: "pro" });
    expect(created).toMatchObject({ status: 201, body: { id: "acme", plan: "pro" } });
    expect(await call("GET", "tenants")).toEqual({ status: 200, body: { tenants: [created.body] } });
    const moved = await call("PATCH", "tenants/acme", { plan: "team" });
    expect(moved).toMatchObject({ status: 200, body: { id: "acme", plan: "team" } });
    expect(await call("DELETE", "tenants/acme")).toEqual({ status: 204, body: undefined });
    expect(await call("GET", "tenants")).toEqual({ status: 200, body: { tenants: [] } });
  });

  test("a long list comes in pages", async () => {
    for (const id of ["a", "b", "c"]) await call("POST", "tenants", { id, plan: "free" });
    expect(await call("GET", "tenants?limit=2")).toMatchObject({
      body: { tenants: [{ id: "a" }, { id: "b" }], next: "b" },
    });
    const last = await call("GET", "tenants?limit=2&after=b");
    expect(last.body).toMatchObject({ tenants: [{ id: "c" }] });
    expect(last.body).not.toHaveProperty("next");
  });

  test.each<[string, string, string, unknown, RegExp]>([
    ["no id", "POST", "tenants", { plan: "pro" }, /^400 invalid_request: .*id.* is missing/],
    ["an empty id", "POST", "tenants", { id: "", plan: "pro" }, /^400 invalid_request: .*"id" has 1 to 200/],
    ["a long id", "POST", "tenants", { id: "x".repeat(201), plan: "pro" }, /^400 invalid_request/],
    ["a control character", "POST", "tenants", { id: "a\nb", plan: "pro" }, /^400 invalid_request/],
    ["a NUL in the path", "DELETE", "tenants/a%00b", undefined, /^400 invalid_request/],
    [
      "an unknown plan",
      "POST",
      "tenants",
      { id: "a", plan: "gold" },
      /^400 invalid_request: .*"free", "pro" or "team"/,
    ],
    ["an unknown member", "POST", "tenants", { id: "a", plan: "pro", x: 1 }, /^400 invalid_request: .*"x"/],
    ["no body", "POST", "tenants", undefined, /^4(00|15) /],
    ["a list as body", "POST", "tenants", [], /^400 invalid_request/],
    ["no plan", "PATCH", "tenants/none", {}, /^400 invalid_request/],
    ["PATCH of none", "PATCH", "tenants/none", { plan: "pro" }, /^404 tenant_not_found: .*"none"/],
    ["DELETE of none", "DELETE", "tenants/none", undefined, /^404 tenant_not_found/],
    ["a limit of 0", "GET", "tenants?limit=0", undefined, /^400 invalid_request: .*limit/],
    ["a limit of many", "GET", "tenants?limit=10001", undefined, /^400 invalid_request: .*10000 or less/],
    ["a path that is none", "GET", "nothing", undefined, /^404 not_found/],
  ])("%s", async (_name, method, path, body, expected) => {
    expect(await problem(method, path, body)).toMatch(expected);
  });

  test("one that exists", async () => {
    await call("POST", "tenants", { id: "a", plan: "pro" });
    expect(await problem("POST", "tenants", { id: "a", plan: "free" })).toMatch(
      /^409 conflict: .*"a" already/,
    );
    expect(await call("GET", "tenants")).toMatchObject({ body: { tenants: [{ id: "a", plan: "pro" }] } });
  });

  test("not JSON", async () => {
    const response = await fetch(`${baseUrl}/v1/admin/tenants`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_KEY}`, "content-type": "application/json" },
      body: "{",
    });
    expect(response.status).toBe(400);
    expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  });

  test.each([
    "' or 1=1 --",
    'a"b',
    "a/b",
    "a:b",
    "*",
    "%2F",
    "a?b#c",
    "日本",
    "😀".repeat(200),
    " ",
    "a b",
    "..x",
  ])("a hostile id, percent-encoded in the path: %j", async (id) => {
    await call("POST", "tenants", { id: "other", plan: "pro" });
    expect((await call("POST", "tenants", { id, plan: "pro" })).status).toBe(201);
    const path = `tenants/${encodeURIComponent(id)}`;
    expect(await call("PATCH", path, { plan: "team" })).toMatchObject({
      status: 200,
      body: { id, plan: "team" },
    });
    const key = await call("POST", `${path}/keys`, { role: "anon" });
    expect(key.status).toBe(201);
    expect(await call("GET", `${path}/keys`)).toMatchObject({ body: { keys: [{ role: "anon" }] } });
    expect((await call("DELETE", path)).status).toBe(204);
    expect(await call("GET", "tenants")).toMatchObject({ body: { tenants: [{ id: "other", plan: "pro" }] } });
  });
});

describe("keys", () => {
  beforeEach(async () => {
    await call("POST", "tenants", { id: "acme", plan: "pro" });
    await call("POST", "tenants", { id: "other", plan: "pro" });
  });

  test("create, list, revoke", async () => {
    const { status, body: created } = await call<NewKey>("POST", "tenants/acme/keys", {
      role: "anon",
      collections: ["todos"],
    });
    expect(status).toBe(201);
    expect(Object.keys(created).toSorted()).toEqual(["id", "key", "role"]);
    expect(created.key).toMatch(/^flc_anon_[0-9A-Za-z]{32,}$/);
    const listed = await call("GET", "tenants/acme/keys");
    expect(listed).toMatchObject({
      body: { keys: [{ id: created.id, role: "anon", collections: ["todos"] }] },
    });
    expect(JSON.stringify(listed)).not.toContain(created.key);
    expect(await call("GET", "tenants/other/keys")).toEqual({ status: 200, body: { keys: [] } });
    expect(await problem("DELETE", `tenants/other/keys/${created.id}`)).toMatch(/^404 not_found/);
    expect(await call("DELETE", `tenants/acme/keys/${created.id}`)).toEqual({ status: 204, body: undefined });
    expect(await problem("DELETE", `tenants/acme/keys/${created.id}`)).toMatch(/^404 not_found/);
  });

  test("a key with filters, which are listed", async () => {
    const where = {
      todos: { owner: "ada", "a.b": { $in: [1, "x", null] } },
      notes: { $or: [{ a: 1 }, { b: 2 }] },
    };
    const { status } = await call("POST", "tenants/acme/keys", { role: "secret", where });
    expect(status).toBe(201);
    expect(await call("GET", "tenants/acme/keys")).toMatchObject({ body: { keys: [{ where }] } });
  });

  test("a secret key, for all collections", async () => {
    const { body } = await call("POST", "tenants/acme/keys", { role: "secret" });
    expect(body).toMatchObject({ role: "secret", key: expect.stringMatching(/^flc_secret_/) });
    expect(await call("GET", "tenants/acme/keys")).toMatchObject({ body: { keys: [{ collections: null }] } });
  });

  test.each<[string, string, unknown, RegExp]>([
    ["where that is no object", "acme", { role: "anon", where: [] }, /^400 invalid_filter: where is not an/],
    [
      "a filter as text",
      "acme",
      { role: "anon", where: { a: "{}" } },
      /^400 invalid_filter: where\.a is text/,
    ],
    [
      "an operator that there is none of",
      "acme",
      { role: "anon", where: { todos: { title: { $regex: "a" } } } },
      /^400 invalid_filter: where\.todos\.title\.\$regex/,
    ],
    [
      "a filter that is too large",
      "acme",
      { role: "anon", where: { todos: { id: { $in: Array.from({ length: 101 }, (_, id) => id) } } } },
      /^400 filter_too_large: where\.todos has more than 100/,
    ],
    [
      "a filter for a collection that is not granted",
      "acme",
      { role: "anon", collections: ["todos"], where: { __proto__x: { a: 1 } } },
      /^400 invalid_request: where\.__proto__x.*"collections"/,
    ],
    ["no role", "acme", {}, /^400 invalid_request: .*"anon" or "secret"/],
    ["another role", "acme", { role: "admin" }, /^400 invalid_request: .*"anon" or "secret"/],
    [
      "no collections in the list",
      "acme",
      { role: "anon", collections: [] },
      /^400 .*leave it out to grant all/,
    ],
    ["a collection that is no text", "acme", { role: "anon", collections: [1] }, /^400 .*must be text/],
    ["a NUL", "acme", { role: "anon", collections: ["a\0"] }, /^400 .*control characters/],
    ["an unknown member", "acme", { role: "anon", name: "x" }, /^400 invalid_request: .*"name"/],
    ["an unknown tenant", "none", { role: "anon" }, /^404 tenant_not_found/],
  ])("%s", async (_name, tenant, body, expected) => {
    expect(await problem("POST", `tenants/${tenant}/keys`, body)).toMatch(expected);
  });

  test("of an unknown tenant", async () => {
    expect(await problem("GET", "tenants/none/keys")).toMatch(/^404 tenant_not_found/);
    expect(await problem("DELETE", "tenants/none/keys/key_x")).toMatch(/^404 tenant_not_found/);
    expect(await problem("DELETE", "tenants/acme/keys/a%00")).toMatch(/^400 invalid_request/);
  });
});

describe("connections", () => {
  test("list, filter, end", async () => {
    for (const id of ["a1", "a2", "b1"]) live.add(id);
    const all = await call("GET", "connections");
    expect(all).toMatchObject({
      status: 200,
      body: { connections: [{ id: "a1" }, { id: "a2" }, { id: "b1" }], total: 3 },
    });
    expect(await call("GET", "connections?tenant=a&limit=1")).toMatchObject({
      body: { connections: [{ id: "a1", tenant: "a", keyId: "key_1", transport: "sse" }], total: 2 },
    });
    expect(await call("DELETE", "connections/a1")).toEqual({ status: 204, body: undefined });
    expect([...live]).toEqual(["a2", "b1"]);
    expect(await problem("DELETE", "connections/a1")).toMatch(/^404 not_found/);
  });
});

describe("the description", () => {
  test("openapi.json names every operation, from the schemas that validate", async () => {
    const response = await fetch(`${baseUrl}/openapi.json`);
    const { paths }: { readonly paths: Record<string, object> } = JSON.parse(await response.text());
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(operations.toSorted()).toEqual([
      "delete /v1/admin/connections/{id}",
      "delete /v1/admin/tenants/{id}",
      "delete /v1/admin/tenants/{id}/keys/{keyId}",
      "get /v1/admin/connections",
      "get /v1/admin/tenants",
      "get /v1/admin/tenants/{id}/keys",
      "patch /v1/admin/tenants/{id}",
      "post /v1/admin/tenants",
      "post /v1/admin/tenants/{id}/keys",
    ]);
  });

  test("a database that does not answer is 503 with a time to come back", async () => {
    const other = await openTenantDatabase({ url: database.url, log });
    await other.close();
    const closed = await createHttpServer({ corsOrigins: ["*"], version: "0.0.0", log });
    adminRoutes(closed, { store: other.store, adminKey: ADMIN_KEY, connections: directory, filterLimits });
    const answer = await closed.inject({
      url: "/v1/admin/tenants",
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    expect(answer.statusCode).toBe(503);
    expect(answer.headers["retry-after"]).toBe("1");
    expect(answer.json()).toMatchObject({ code: "key_store_unavailable", retryable: true });
    await closed.close();
  });
});
