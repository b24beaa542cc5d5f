import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { get, type IncomingMessage } from "node:http";
import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { mintToken, requestToken } from "../support/realtime-token.ts";
import type { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

const OLD_SECRET = "the-old-secret-of-this-test-0123456789";
const NEW_SECRET = "the-new-secret-of-this-test-0123456789";

let server: TestServer;
let tenant: TestTenant;
let tenants = 0;

beforeAll(async () => {
  server = await startTestServer({ tokenSecret: OLD_SECRET });
  await server.database.query(
    `create table messages (id bigint generated always as identity primary key, tenant_id text, body text);
     create table notifications (like messages including all)`,
  );
  const probe = await server.createTenant("probe");
  await until(async () => {
    const body = { collections: ["messages", "notifications"] };
    return (await requestToken(server.url, probe.secretKey, body)).status === 200;
  });
});

afterAll(() => server.close());

beforeEach(async () => {
  tenants += 1;
  tenant = await server.createTenant(`tenant-${String(tenants)}`);
});

/** A stream that is live, with a token of `key`. */
async function open(key: string, on = server): Promise<SseClient> {
  const token = await mintToken(server.url, key, { collections: ["messages"] });
  const client = await on.subscribe({ collection: "messages", token });
  if (client.status !== 200) throw new Error(`${client.status} ${client.body}`);
  await client.waitForEvent("ready");
  return client;
}

async function codeOf(
  token: string,
  on = server,
  query: Record<string, string> = { collection: "messages" },
): Promise<string> {
  const client = await on.subscribe({ ...query, token });
  if (client.status === 200) {
    client.close();
    return "good";
  }
  await client.waitForEnd();
  return client.problem.code;
}

/** With another server on the same database, as a second process would be. */
async function withSecondServer(
  settings: ConfigInput,
  use: (second: TestServer) => Promise<void>,
): Promise<void> {
  const second = await startTestServer(settings, server.database);
  try {
    await use(second);
  } finally {
    await second.close();
  }
}

describe("when a token expires", () => {
  it("its connection ends as a whole answer does, and the next request is told why", async () => {
    // The token of a slow moment is expired before it is used: then another one is.
    const { token, response } = await until(async () => {
      const body = { collections: ["messages"], expiresIn: 2 };
      const minted = await mintToken(server.url, tenant.secretKey, body);
      const url = `${server.url}/v1/events/subscribe?collection=messages&token=${minted}`;
      const [answer] = (await once(get(url, { agent: false }), "response")) as [IncomingMessage];
      answer.resume();
      return answer.statusCode === 200 && { token: minted, response: answer };
    });
    await until(() => response.closed);
    expect([response.complete, response.errored]).toEqual([true, null]);
    expect(await codeOf(token)).toBe("token_expired");
    await until(async () => {
      const { body } = await server.admin("GET", "connections");
      return !JSON.stringify(body).includes(`"${tenant.id}"`);
    });
  });

  it("others go on", async () => {
    const lasting = await open(tenant.secretKey);
    const short = await until(async () => {
      const body = { collections: ["messages"], expiresIn: 2 };
      const token = await mintToken(server.url, tenant.secretKey, body);
      const client = await server.subscribe({ collection: "messages", token });
      return client.status === 200 && client;
    });
    await short.waitForEnd();
    await server.database.query("insert into messages (tenant_id, body) values ($1, 'still here')", [
      tenant.id,
    ]);
    await lasting.waitForMessages(1);
    lasting.close();
  });
});

describe("a token dies, and its connection ends, with", () => {
  it("its key, revoked by the admin API; tokens of other keys live", async () => {
    const [minting, staying] = [
      await server.createKey(tenant.id, { role: "secret" }),
      await server.createKey(tenant.id, { role: "secret" }),
    ];
    const token = await mintToken(server.url, minting.key, { collections: ["messages"] });
    const client = await open(minting.key);
    const other = await open(staying.key);
    await server.admin("DELETE", `tenants/${tenant.id}/keys/${minting.id}`);
    await client.waitForEnd();
    expect(await codeOf(token)).toBe("key_revoked");
    await server.database.query("insert into messages (tenant_id, body) values ($1, 'still here')", [
      tenant.id,
    ]);
    await other.waitForMessages(1);
    expect(other.ended).toBe(false);
  });

  it("its key, deleted by hand in the database", async () => {
    const { id, key } = await server.createKey(tenant.id, { role: "secret" });
    const token = await mintToken(server.url, key, { collections: ["messages"] });
    const client = await open(key);
    await server.database.query("delete from paperdb.keys where id = $1", [id]);
    await client.waitForEnd();
    await until(async () => (await codeOf(token)) === "key_revoked");
  });

  it("its key, revoked on another server than the one that it is connected to", async () => {
    await withSecondServer({ tokenSecret: OLD_SECRET }, async (second) => {
      const { id, key } = await server.createKey(tenant.id, { role: "secret" });
      const here = await open(key);
      const there = await open(key, second);
      await second.admin("DELETE", `tenants/${tenant.id}/keys/${id}`);
      await here.waitForEnd();
      await there.waitForEnd();
    });
  });

  it("its tenant", async () => {
    const token = await mintToken(server.url, tenant.secretKey, { collections: ["messages"] });
    const client = await open(tenant.secretKey);
    await server.admin("DELETE", `tenants/${tenant.id}`);
    await client.waitForEnd();
    expect(await codeOf(token)).toBe("key_revoked");
    // A new tenant of the same name is another one.
    await server.createTenant(tenant.id);
    expect(await codeOf(token)).toBe("key_revoked");
  });

  it("its plan, and lives again when that is back", async () => {
    const token = await mintToken(server.url, tenant.secretKey, { collections: ["messages"] });
    const client = await open(tenant.secretKey);
    await server.admin("PATCH", `tenants/${tenant.id}`, { plan: "free" });
    await client.waitForEnd();
    expect(await codeOf(token)).toBe("plan_required");
    await server.admin("PATCH", `tenants/${tenant.id}`, { plan: "team" });
    await until(async () => (await codeOf(token)) === "good");
  });

  it("what its key grants no more", async () => {
    const { id, key } = await server.createKey(tenant.id, { role: "secret" });
    const body = { collections: ["messages", "notifications"], topics: ["a"] };
    const token = await mintToken(server.url, key, body);
    const [lost, topic] = [
      await server.subscribe({ collection: "messages", token }),
      await server.subscribe({ topic: "a", token }),
    ];
    for (const client of [lost, topic]) await client.waitForEvent("ready");
    await server.database.query("update paperdb.keys set collections = '{notifications}' where id = $1", [
      id,
    ]);
    await lost.waitForEnd();
    await topic.waitForEnd();
    await until(async () => (await codeOf(token)) === "forbidden");
    expect(await codeOf(token, server, { topic: "a" })).toBe("forbidden");
    expect(await codeOf(token, server, { collection: "notifications" })).toBe("good");
  });
});

it("secrets rotate: an old one is accepted while it is listed, and refused when it is not", async () => {
  const mint = (on: TestServer): Promise<string> =>
    mintToken(on.url, tenant.secretKey, { collections: ["messages"] });
  const early = await mint(server);
  await withSecondServer({ tokenSecret: `${NEW_SECRET}, ${OLD_SECRET}` }, async (rotating) => {
    expect(await codeOf(early, rotating)).toBe("good");
    const late = await mint(rotating);
    expect(await codeOf(late, rotating)).toBe("good");
    expect(await codeOf(late, server)).toBe("token_invalid");
    await withSecondServer({ tokenSecret: NEW_SECRET }, async (rotated) => {
      expect(await codeOf(late, rotated)).toBe("good");
      expect(await codeOf(early, rotated)).toBe("token_invalid");
    });
  });
});
