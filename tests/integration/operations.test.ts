import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";

let server: TestServer;
let alice: TestTenant;

beforeAll(async () => {
  server = await startTestServer();
  alice = await server.createTenant("alice");
});

afterAll(() => server.close());

async function get(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${server.url}${path}`, init);
}

describe("operations", () => {
  it("is alive and ready", async () => {
    expect(await (await get("/healthz")).json()).toEqual({ status: "ok" });
    const ready = await get("/readyz");
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({
      status: "ready",
      sources: [{ name: "postgres", live: true }],
    });
  });

  it("counts what goes through it", async () => {
    const client = await server.subscribe({ topic: "m" }, alice.anonKey);
    await client.waitForEvent("ready");
    await server.publish(alice.secretKey, { topic: "m", data: 1 });
    await client.waitForMessages(1);
    const text = await (await get("/metrics")).text();
    expect(text).toMatch(/^paperdb_connections 1$/m);
    expect(text).toMatch(/^paperdb_connections_opened_total 1$/m);
    expect(text).toMatch(/^paperdb_subscriptions 1$/m);
    expect(text).toMatch(/^paperdb_events_in_total\{source="events",collection="\(topics\)"\} 1$/m);
    expect(text).toMatch(/^paperdb_events_out_total\{source="events",collection="\(topics\)"\} 1$/m);
    expect(text).toMatch(/^paperdb_commit_to_send_seconds_count 1$/m);
    expect(text).toMatch(/^paperdb_source_live\{source="postgres"\} 1$/m);
    await expect
      .poll(async () => (await get("/metrics")).text())
      .toMatch(/^paperdb_notification_queue_usage\{source="postgres"\} 0/m);
    expect(text).toContain("paperdb_resets_total");
    expect(text).toContain("paperdb_slow_consumers_total 0");
    expect(text).not.toContain("alice");
    client.close();
  });

  it("describes itself in OpenAPI 3.1, from the schemas that validate", async () => {
    const document = (await (await get("/openapi.json")).json()) as {
      openapi: string;
      paths: Record<string, Record<string, { responses: Record<string, unknown> }>>;
    };
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        "/v1/events/subscribe",
        "/v1/events/publish",
        "/v1/admin/tenants",
        "/v1/admin/tenants/{id}",
        "/v1/admin/connections",
        "/healthz",
        "/readyz",
        "/metrics",
      ]),
    );
    expect(Object.keys(document.paths["/v1/events/publish"]?.["post"]?.responses ?? {})).toContain("202");
  });

  it("answers every unknown address with a problem", async () => {
    const undecodable = await get("/%zz");
    expect(undecodable.status).toBe(400);
    expect(await undecodable.json()).toMatchObject({ code: "invalid_request" });
    for (const path of ["/", "/console", "/v1/nothing", "/v1/events/subscribe/x"]) {
      const response = await get(path);
      expect(response.status).toBe(404);
      expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
      expect(await response.json()).toMatchObject({ code: "not_found" });
    }
    expect(await (await get("/console")).json()).toMatchObject({ detail: expect.stringMatching(/console/i) });
  });

  it("lets pages of any origin call, and only the configured ones when there are some", async () => {
    const preflight = await get("/v1/events/publish", {
      method: "OPTIONS",
      headers: {
        origin: "https://app.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "apikey,content-type",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toContain("apikey");
    const strict = await startTestServer({ cors: { origins: ["https://app.example.com"] } });
    try {
      const origin = async (value: string) =>
        (await fetch(`${strict.url}/healthz`, { headers: { origin: value } })).headers.get(
          "access-control-allow-origin",
        );
      expect(await origin("https://app.example.com")).toBe("https://app.example.com");
      expect(await origin("https://evil.example.com")).toBeNull();
    } finally {
      await strict.close();
    }
  });

  it("tells clients to come back when it stops, and is gone in time", async () => {
    const brief = await startTestServer();
    const tenant = await brief.createTenant("t");
    const client = await brief.subscribe({ topic: "x" }, tenant.anonKey);
    await client.waitForEvent("ready");
    await brief.close();
    await client.waitForEnd();
    expect(client.retryMs).toBeGreaterThanOrEqual(500);
  });

  it("refuses more connections than the plan allows", async () => {
    const small = await startTestServer({ plans: { pro: { maxConnections: 2 } } });
    try {
      const tenant = await small.createTenant("t");
      const other = await small.createTenant("u");
      const first = await small.subscribe({ topic: "x" }, tenant.anonKey);
      await small.subscribe({ topic: "x" }, tenant.anonKey);
      const third = await small.subscribe({ topic: "x" }, tenant.anonKey);
      expect(third.status).toBe(429);
      expect(third.headers["retry-after"]).toBeDefined();
      expect((await small.subscribe({ topic: "x" }, other.anonKey)).status).toBe(200);
      first.close();
      await expect.poll(async () => (await small.subscribe({ topic: "x" }, tenant.anonKey)).status).toBe(200);
    } finally {
      await small.close();
    }
  });
});
