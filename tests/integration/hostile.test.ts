import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fetchUsedBytes } from "../support/memory.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { startTestServer, type TestServer, type TestTenant } from "../support/realtime-server.ts";
import { countResources, untilResourcesAreBack } from "../support/resources.ts";
import { until } from "../support/until.ts";

const MEBIBYTE = 1024 * 1024;
const MAX_HISTORY_BYTES = 8 * MEBIBYTE;
const INSERT = '"type":"insert"';

let server: TestServer;
let alice: TestTenant;
const sockets: RawSocket[] = [];

beforeAll(async () => {
  server = await startTestServer({
    history: { maxBytesTotal: MAX_HISTORY_BYTES, maxBytesPerChannel: MAX_HISTORY_BYTES, lingerMs: 0 },
    connections: { maxBufferedBytes: 4 * MEBIBYTE },
  });
  await server.database.query(
    "create table todos (id bigint generated always as identity primary key, tenant_id text not null, title text)",
  );
  alice = await server.createTenant("alice");
  await until(async () => {
    const probe = await server.subscribe({ collection: "todos" }, alice.anonKey);
    probe.close();
    return probe.status === 200;
  });
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

afterAll(() => server.close());

async function open(bytes = ""): Promise<RawSocket> {
  const socket = await RawSocket.open(server.url, bytes);
  sockets.push(socket);
  return socket;
}

/** A subscribe request, head only, as bytes. */
function request(headers = "", version = "1.1", query = "collection=todos"): string {
  return `GET /v1/events/subscribe?${query} HTTP/${version}\r\nhost: test\r\napikey: ${alice.anonKey}\r\n${headers}\r\n`;
}

async function metric(name: string): Promise<number> {
  const response = await fetch(`${server.url}/metrics`, { headers: { connection: "close" } });
  const line = new RegExp(`^${name} (\\S+)$`, "m").exec(await response.text());
  if (line === null) throw new Error(`There is no metric ${name}.`);
  return Number(line[1]);
}

async function waitForNoConnections(): Promise<void> {
  for (const name of ["paperdb_connections", "paperdb_subscriptions", "paperdb_channels"]) {
    await until(async () => (await metric(name)) === 0, { describe: `${name} of 0` });
  }
}

/** That a client that behaves is served. */
async function expectHealth(): Promise<void> {
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  const client = await server.watch("todos", alice.anonKey);
  await server.database.query("insert into todos (tenant_id, title) values ('alice', 'healthy')");
  expect(await client.waitForMessages(1)).toMatchObject([{ document: { title: "healthy" } }]);
  client.close();
  await waitForNoConnections();
}

describe("a subscriber that stops reading", () => {
  it("is closed at the bound; the others get everything, and memory stays flat", async () => {
    const batches = 30;
    const rowsPerBatch = 4;
    const slowBefore = await metric("paperdb_slow_consumers_total");
    const reader = await open(request());
    await reader.waitFor("event: ready");
    let rows = 0;
    // A packet may end in the middle of a word.
    let rest = "";
    reader.socket.removeAllListeners("data");
    reader.socket.on("data", (text: string) => {
      const found = (rest + text).split(INSERT);
      rows += found.length - 1;
      rest = found.at(-1)?.slice(1 - INSERT.length) ?? "";
    });
    const stalled = await open(request());
    await stalled.waitFor("event: ready");
    stalled.socket.pause();
    await until(async () => (await metric("paperdb_subscriptions")) === 2);

    const baseline = fetchUsedBytes();
    let most = 0;
    for (let batch = 1; batch <= batches; batch += 1) {
      await server.database.query(
        `insert into todos (tenant_id, title) select 'alice', repeat('x', ${MEBIBYTE}) from generate_series(1, $1)`,
        [rowsPerBatch],
      );
      await until(() => rows >= batch * rowsPerBatch, { describe: () => `batch ${batch}, got ${rows}` });
      most = Math.max(most, fetchUsedBytes() - baseline);
    }
    await until(async () => (await metric("paperdb_subscriptions")) === 1, { describe: "one subscription" });
    expect(await metric("paperdb_slow_consumers_total")).toBe(slowBefore + 1);
    expect(await metric("paperdb_history_bytes")).toBeLessThanOrEqual(MAX_HISTORY_BYTES + 2 * MEBIBYTE);
    // 120 MiB went through; what may stay are the history, twice, and what is on its way.
    expect(most / MEBIBYTE).toBeLessThan(60);
    stalled.socket.resume();
    await stalled.waitForEnd();
    expect(reader.ended || reader.closed).toBe(false);
    reader.close();
    await expectHealth();
  });
});

describe("connections that are opened and dropped", () => {
  /** Each drops at another moment, in another way. */
  async function openAndDrop(index: number): Promise<void> {
    const abrupt = index % 2 === 0;
    const socket = await RawSocket.open(server.url);
    switch (index % 5) {
      case 0:
        break;
      case 1:
        socket.send(request().slice(0, -2));
        break;
      case 2:
        socket.send(request());
        break;
      default:
        socket.send(request("", "1.1", index % 3 === 0 ? "topic=a.*" : undefined));
        await socket.waitFor("event: ready");
        if (index % 3 === 1) {
          socket.socket.end();
          await socket.waitForEnd();
        }
    }
    if (!socket.ended) socket.close(abrupt);
    await until(() => socket.closed, { describe: `the end of connection ${index}` });
  }

  async function openAndDropMany(count: number): Promise<void> {
    for (let first = 0; first < count; first += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => openAndDrop(first + index)));
    }
    await waitForNoConnections();
  }

  it("leave nothing behind", async () => {
    await openAndDropMany(200);
    const bytesBefore = fetchUsedBytes();
    const before = countResources();
    await openAndDropMany(1000);
    await untilResourcesAreBack(before);
    const bytesMore = (): number => fetchUsedBytes() - bytesBefore;
    await until(() => bytesMore() < 3_000_000, { intervalMs: 100, describe: () => `${bytesMore()} bytes` });
    await until(async () => {
      const { rows } = await server.database.query<{ query: string }>(
        `select query from pg_stat_activity
         where datname = current_database() and application_name like 'paperdb-realtime%listener'`,
      );
      // The listener's last word, unless it has asked since whether the database is still there.
      const lastWords = rows.map(({ query }) => query.split(" ", 1)[0]);
      return rows.length > 0 && lastWords.every((word) => word === "UNLISTEN" || word === "SELECT");
    });
    await expectHealth();
  });

  it("do not keep others waiting while they dawdle with their headers", async () => {
    const dawdlers = await Promise.all(
      Array.from({ length: 200 }, () => open("GET /healthz HTTP/1.1\r\nx: ")),
    );
    for (const dawdler of dawdlers) dawdler.send("y");
    await expectHealth();
    for (const dawdler of dawdlers) dawdler.close(true);
    await expectHealth();
  });
});

describe("rubbish on the wire", () => {
  it.each<[string, () => string, RegExp]>([
    ["random bytes", () => `${randomBytes(4096).toString("latin1")}\r\n\r\n`, /^HTTP\/1\.1 400 /],
    ["a TLS greeting", () => "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc", /^HTTP\/1\.1 400 /],
    ["large headers", () => request(`x: ${"y".repeat(20_000)}\r\n`), /^HTTP\/1\.1 431 /],
    ["NUL in the path", () => "GET /\u0000 HTTP/1.1\r\nhost: test\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["two lengths", () => request("content-length: 5\r\ntransfer-encoding: chunked\r\n"), /^HTTP\/1\.1 400 /],
    ["an unknown method", () => request().replace("GET", "YELL"), /^HTTP\/1\.1 400 /],
    ["another HTTP version", () => request("", "9.9"), /^HTTP\/1\.1 (400|505) /],
  ])("%s: a problem, and the end", async (_name, bytes, answer) => {
    const socket = await open(bytes());
    await socket.waitForEnd();
    expect(socket.received).toMatch(answer);
    expect(socket.received).toContain("application/problem+json");
    await expectHealth();
  });

  it("half a request and a goodbye", async () => {
    const socket = await open(request().slice(0, -10));
    socket.socket.end();
    await socket.waitForEnd();
    expect(socket.received).not.toContain("200 OK");
    await expectHealth();
  });

  it("HTTP/1.0 gets the stream", async () => {
    const socket = await open(request("", "1.0"));
    await socket.waitFor("event: ready");
    expect(socket.received).not.toMatch(/transfer-encoding/i);
    socket.close();
    await expectHealth();
  });

  it.each([
    ["that comes with it", "content-length: 5\r\n", "hello"],
    ["that never ends", "content-length: 500000000\r\n", "x".repeat(500_000)],
    ["in chunks", "transfer-encoding: chunked\r\n", "1\r\nx\r\n"],
  ])("a subscribe with a body %s is refused", async (_name, headers, body) => {
    const socket = await open(request(headers) + body);
    await socket.waitFor("A subscribe takes no body");
    expect(socket.received).toMatch(/^HTTP\/1\.1 400 /);
    socket.close();
    await expectHealth();
  });

  it("asking for an upgrade that is not to be had changes nothing", async () => {
    const socket = await open(request("connection: upgrade\r\nupgrade: websocket\r\n"));
    await until(() => socket.received.includes("event: ready") || socket.ended);
    expect(socket.received).not.toContain(" 101 ");
    socket.close();
    await expectHealth();
  });

  it.each([
    ["in one packet", false],
    ["later", true],
  ])(
    "a second request behind a subscribe, %s: ends the connection, without a second stream",
    async (_name, later) => {
      const socket = await open(later ? request() : request() + request());
      if (later) {
        await socket.waitFor("event: ready");
        socket.send(request());
      }
      await socket.waitForEnd();
      expect(socket.received.split("HTTP/1.1 200").length).toBeLessThanOrEqual(2);
      expect(socket.received.split("event: ready").length).toBeLessThanOrEqual(2);
      await expectHealth();
    },
  );

  it("a subscribe behind another request in one packet does not mix with its answer", async () => {
    const socket = await open(`GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n${request()}`);
    await until(() => socket.ended || socket.closed || socket.received.includes("event: ready"));
    const stream = socket.received.indexOf("text/event-stream");
    if (stream !== -1) expect(socket.received.indexOf('{"status":"ok"}')).toBeLessThan(stream);
    socket.close();
    await expectHealth();
  });

  it("a cursor of 10,000 bytes, in the query or the header, is reset", async () => {
    const cursor = "A".repeat(10_000);
    const inHeader = await open(request(`last-event-id: ${cursor}\r\n`));
    const inQuery = await open(request("", "1.1", `collection=todos&cursor=${cursor}`));
    await inHeader.waitFor("event: ready");
    await inQuery.waitFor("event: ready");
    for (const { received } of [inHeader, inQuery]) expect(received).toContain("event: reset");
    inHeader.close();
    inQuery.close();
    await expectHealth();
  });
});
