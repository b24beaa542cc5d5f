import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import type { SseClient } from "../support/sse-client.ts";
import { until } from "../support/until.ts";

const GZIP = { "accept-encoding": "gzip, deflate, br" };
/** What gets much smaller. */
const TEXT = "the quick brown fox jumps over the lazy dog ".repeat(60);

let server: TestServer;
let alice: TestTenant;
let bob: TestTenant;

beforeAll(async () => {
  server = await startTestServer({
    compression: { enabled: true, maxTimePercent: 100 },
    connections: { maxBufferedBytes: 1024 * 1024, heartbeatIntervalMs: 300 },
    snapshots: { batchRows: 10 },
  });
  await server.database.query(
    "create table notes (id bigint generated always as identity primary key, tenant_id text, room text, n int, body text)",
  );
  [alice, bob] = [await server.createTenant("alice"), await server.createTenant("bob")];
  await until(async () => {
    const probe = await server.subscribe({ collection: "notes" }, alice.anonKey);
    probe.close();
    return probe.status === 200;
  });
});

afterAll(() => server.close());

async function add(tenant: TestTenant, room: string, count = 1): Promise<void> {
  await server.database.query(
    "insert into notes (tenant_id, room, n, body) select $1, $2, i, $3 from generate_series(1, $4) i",
    [tenant.id, room, TEXT, count],
  );
}

async function subscribe(
  key: string,
  query: Record<string, string> = {},
  headers: Record<string, string> = GZIP,
): Promise<SseClient> {
  const client = await server.subscribe({ collection: "notes", ...query }, key, headers);
  expect(client.status).toBe(200);
  await client.waitForEvent("ready");
  return client;
}

const placesOf = ({ changes }: SseClient): unknown[] =>
  changes.map(({ document: { tenant_id, room, n } }) => [tenant_id, room, n]);

describe("the answer to a subscribe", () => {
  it("is gzip for those that read it, and says what it depends on", async () => {
    const [gzip, plain, refusing] = [
      await subscribe(alice.anonKey),
      await subscribe(alice.anonKey, {}, {}),
      await subscribe(alice.anonKey, {}, { "accept-encoding": "gzip;q=0, identity" }),
    ];
    expect(gzip.headers["content-encoding"]).toBe("gzip");
    expect(gzip.headers["content-type"]).toBe("text/event-stream");
    expect([plain, refusing].map(({ headers }) => headers["content-encoding"])).toEqual([
      undefined,
      undefined,
    ]);
    for (const { headers } of [gzip, plain, refusing]) expect(headers.vary).toContain("accept-encoding");
  });

  it("is not compressed where it is an error", async () => {
    const refused = await server.subscribe({ collection: "nothing" }, alice.anonKey, GZIP);
    await until(() => refused.ended);
    expect(refused.problem.code).toBe("collection_not_found");
  });

  it("is the same for all where compression is off", async () => {
    const off = await startTestServer();
    try {
      const { anonKey, secretKey } = await off.createTenant("carol");
      const client = await off.subscribe({ topic: "a" }, anonKey, GZIP);
      await client.waitForEvent("ready");
      expect(client.headers["content-encoding"]).toBeUndefined();
      expect(client.headers.vary ?? "").not.toContain("accept-encoding");
      await off.publish(secretKey, { topic: "a", data: TEXT });
      await client.waitForMessages(1);
    } finally {
      await off.close();
    }
  });
});

describe("subscribers of one channel", () => {
  it("get the same events, compressed or not, and none of another tenant's", async () => {
    const clients = await Promise.all([
      subscribe(alice.anonKey),
      subscribe(alice.anonKey),
      subscribe(alice.anonKey, {}, {}),
      subscribe(bob.anonKey),
    ]);
    await add(alice, "small");
    await add(bob, "theirs", 20);
    await add(alice, "many", 100);
    const expected = [
      ["alice", "small", 1],
      ...Array.from({ length: 100 }, (_, i) => ["alice", "many", i + 1]),
    ];
    for (const client of clients.slice(0, 3)) {
      await client.waitForMessages(101);
      expect(placesOf(client)).toEqual(expected);
    }
    const [one, , plain, other] = clients;
    await other?.waitForMessages(20);
    expect(other?.changes.map(({ document }) => document["tenant_id"])).toEqual(Array(20).fill("bob"));
    expect(one?.events.at(-1)?.id).toBe(plain?.events.at(-1)?.id);
  });

  it("get much less to read where it is compressed", async () => {
    const [gzip, plain] = [await subscribe(alice.anonKey), await subscribe(alice.anonKey, {}, {})];
    let count = 0;
    // On a busy machine there may be no time to compress the first ones.
    await until(
      async () => {
        const before = [gzip.receivedBytes, plain.receivedBytes] as const;
        count += 20;
        await add(alice, "again", 20);
        for (const client of [gzip, plain]) await client.waitForMessages(count);
        return gzip.receivedBytes - before[0] < (plain.receivedBytes - before[1]) / 4;
      },
      { describe: "events in a quarter of their bytes" },
    );
  });

  it("read each event as soon as it is written", async () => {
    const client = await subscribe(alice.anonKey, { where: '{"room":"one by one"}' });
    for (let count = 1; count <= 20; count += 1) {
      await add(alice, "one by one");
      await client.waitForMessages(count);
    }
    expect(client.events.map(({ event }) => event)).toEqual(["ready", ...Array(20).fill(undefined)]);
  });

  it("resume with exactly what they missed, whichever encoding they had before", async () => {
    const client = await subscribe(alice.anonKey);
    await add(alice, "seen");
    await client.waitForMessages(1);
    const cursor = client.events.at(-1)?.id ?? "";
    client.close();
    await add(alice, "missed", 30);
    const back = await Promise.all(
      [GZIP, {}].map((headers) => subscribe(alice.anonKey, { cursor }, headers)),
    );
    await add(alice, "live");
    const expected = [
      ...Array.from({ length: 30 }, (_, i) => ["alice", "missed", i + 1]),
      ["alice", "live", 1],
    ];
    for (const each of back) {
      await each.waitForMessages(31);
      expect(placesOf(each)).toEqual(expected);
      expect(JSON.parse(each.named("ready")[0]?.data ?? "")).toEqual({ cursor, resumed: true });
    }
  });

  it("see what their filters let through", async () => {
    const where = JSON.stringify({ room: "filtered", n: { $lte: 3 } });
    const clients = await Promise.all(
      [GZIP, {}].map((headers) => subscribe(alice.anonKey, { where }, headers)),
    );
    await add(alice, "other", 5);
    await add(alice, "filtered", 5);
    for (const client of clients) {
      await client.waitForMessages(3);
      expect(placesOf(client)).toEqual([1, 2, 3].map((n) => ["alice", "filtered", n]));
    }
  });

  it("get documents first, in several messages, and heartbeats", async () => {
    const before = await server.database.query(
      "select id::text from notes where tenant_id = 'bob' order by id",
    );
    await add(bob, "more", 25);
    const client = await subscribe(bob.anonKey, { snapshot: "true" });
    const documents = client
      .named("snapshot")
      .flatMap(({ data }) => (JSON.parse(data) as { documents: { body: string }[] }).documents);
    expect(client.named("snapshot").length).toBeGreaterThan(2);
    expect(documents).toHaveLength(before.rows.length + 25);
    expect(new Set(documents.map(({ body }) => body))).toEqual(new Set([TEXT]));
    const received = client.receivedBytes;
    await until(() => client.receivedBytes > received, { describe: "a heartbeat" });
    await add(bob, "after a heartbeat");
    await client.waitForMessages(1);
  });

  it("are told of a reset", async () => {
    const client = await subscribe(alice.anonKey, { cursor: "rubbish" });
    expect(client.events.map(({ event }) => event)).toEqual(["reset", "ready"]);
  });

  it("do not suffer from one that does not read, which is ended", async () => {
    const [stalled, reader] = await Promise.all(
      ["bulk", "bulk"].map((topic) => server.subscribe({ topic }, alice.anonKey, GZIP)),
    );
    if (stalled === undefined || reader === undefined) throw new Error("There are two.");
    await Promise.all([stalled, reader].map((client) => client.waitForEvent("ready")));
    stalled.pause();
    let sent = 0;
    await until(
      async () => {
        // Half as long when it is compressed.
        await server.publish(alice.secretKey, { topic: "bulk", data: randomBytes(250_000).toString("hex") });
        sent += 1;
        await reader.waitForMessages(sent);
        return (await (await fetch(`${server.url}/metrics`)).text()).includes(
          "paperdb_slow_consumers_total 1",
        );
      },
      {
        intervalMs: 0,
        describe: () => `the end of a client behind ${String(sent)} events`,
      },
    );
    expect(reader.ended).toBe(false);
    expect(reader.decodingError).toBeUndefined();
    expect(stalled.messages.length).toBeLessThan(sent);
  });
});

it("tells clients when to come back as the server stops", async () => {
  const stopping = await startTestServer({ compression: { enabled: true } });
  const { anonKey } = await stopping.createTenant("carol");
  const client = await stopping.subscribe({ topic: "a" }, anonKey, GZIP);
  await client.waitForEvent("ready");
  await stopping.close();
  await client.waitForEnd();
  expect(client.retryMs).toBeGreaterThanOrEqual(500);
  expect(client.decodingError).toBeUndefined();
});
