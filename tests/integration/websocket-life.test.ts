import { afterEach, describe, expect, it } from "vitest";
import { clientFrame, OPCODES } from "../support/client-frame.ts";
import { MessagesServer } from "../support/messages-server.ts";
import { openDatabase, startPostgres } from "../support/postgres.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { until } from "../support/until.ts";
import { upgradeRequest } from "../support/upgrade-request.ts";
import { WebSocketClient } from "../support/websocket-client.ts";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close();
});

async function start(
  ...parameters: Parameters<typeof MessagesServer.start>
): ReturnType<typeof MessagesServer.start> {
  const messages = await MessagesServer.start(...parameters);
  closers.push(() => messages.close());
  return messages;
}

/** Does the handshake of a `paperdb.v1` client by hand. */
async function openByHand(
  messages: MessagesServer,
  protocol = "paperdb.v1",
  token?: string,
): Promise<RawSocket> {
  const headers = [`sec-websocket-protocol: ${protocol}`];
  const socket = await RawSocket.open(
    messages.url,
    upgradeRequest(token ?? (await messages.mint()), headers),
  );
  closers.push(() => socket.close());
  await socket.waitFor("\r\n\r\n");
  expect(socket.received).toMatch(/^HTTP\/1\.1 101 /);
  return socket;
}

describe("a quiet connection", () => {
  const quick = { connections: { heartbeatIntervalMs: 200 } };

  it("gets pings, and heartbeats with the cursors of its subscriptions", async () => {
    const messages = await start(quick);
    const client = await messages.open();
    expect(await client.waitFor("heartbeat")).toEqual({ type: "heartbeat", cursors: {} });
    const one = await client.subscribe("a", { collection: "messages" });
    const two = await client.subscribe("b", { topic: "x" });
    await messages.add("notifications", "acme", "moves the source on");
    await messages.add("messages", "acme", "an event");
    const { cursor = "" } = await client.waitFor("event");
    const beats = (): Record<string, string>[] => client.ofType("heartbeat").map(({ cursors }) => cursors);
    await until(() => beats().some((cursors) => (cursors[one.channel] ?? "") >= cursor));
    await until(() => beats().some((cursors) => cursors[two.channel] !== undefined));
    const raw = await messages.openRaw();
    await until(() => raw.pings >= 2 && client.pings >= 2, { describe: "pings" });
    expect(raw.texts).toEqual([]);
    const heartbeat = client
      .ofType("heartbeat")
      .map(({ cursors }) => cursors[one.channel])
      .findLast((text) => text !== undefined);
    const back = await messages.open();
    expect(await back.subscribe("a", { collection: "messages" }, heartbeat)).toMatchObject({ resumed: true });
  });

  it("is kept as long as it answers pings, and cut when it does not", async () => {
    const messages = await start({ ...quick, websocket: { peerTimeoutMs: 3000 } });
    const client = await messages.open();
    const halfOpen = await openByHand(messages);
    await until(async () => (await messages.metric("paperdb_connections")) === 2);
    await until(() => halfOpen.closed || halfOpen.ended, { describe: "the cut" });
    await until(async () => (await messages.metric("paperdb_connections")) === 1);
    expect(client.pings).toBeGreaterThanOrEqual(2);
    expect(client.closed).toBeUndefined();
    expect(await messages.metric('paperdb_websockets_closed_total{reason="unresponsive"}')).toBe(1);
    client.send("rubbish");
    await client.waitForClose();
    expect(await messages.metric('paperdb_websockets_closed_total{reason="protocol_error"}')).toBe(1);
  });
});

describe("ending", () => {
  it("answers the client's close frame with its code, and ends", async () => {
    const messages = await start();
    for (const code of [undefined, 1000, 1001, 3000, 4999]) {
      const client = await messages.open();
      await client.subscribe("a", { collection: "messages" });
      client.socket.close(code, code === undefined ? undefined : "good bye");
      // Without a code the answer has none either, which is 1005.
      expect(await client.waitForClose()).toEqual({
        code: code ?? 1005,
        reason: code === undefined ? "" : "good bye",
      });
      await messages.waitForNoConnections();
    }
  });

  it("without a goodbye, from a client that ends its half: leaves nothing", async () => {
    const messages = await start();
    const socket = await openByHand(messages);
    await until(async () => (await messages.metric("paperdb_connections")) === 1);
    socket.socket.end();
    await socket.waitForEnd();
    await messages.waitForNoConnections();
  });

  it("cuts a client that does not answer the close frame", async () => {
    const messages = await start({ websocket: { closeTimeoutMs: 300 } });
    const socket = await openByHand(messages);
    const { body } = await messages.server.admin("GET", "connections");
    const [connection] = body["connections"] as { id: string }[];
    await messages.server.admin("DELETE", `connections/${connection?.id}`);
    await until(() => socket.closed || socket.ended);
    // 4104, as the first two bytes of the close frame's payload.
    expect(socket.received).toContain("\x10\x08");
    await messages.waitForNoConnections();
  });

  it("cuts a client whose key was revoked soon, whether it answers or not", async () => {
    const messages = await start({ websocket: { closeTimeoutMs: 60_000 } });
    const { id, key } = await messages.server.createKey("acme", { role: "secret" });
    const token = await messages.mint(undefined, { ...messages.acme, secretKey: key });
    const silent = await openByHand(messages, "paperdb.v1", token);
    const leaving = await openByHand(messages, "paperdb.v1", token);
    leaving.send(clientFrame(OPCODES.text, "no JSON"));
    // The end has begun, and would take a minute.
    await leaving.waitFor("\x0f\xa8");
    await messages.server.admin("DELETE", `tenants/acme/keys/${id}`);
    await messages.waitForNoConnections();
    expect(silent.received).toContain("\x0f\xa1");
  });

  it("does not wait for clients that do not answer when the server stops", async () => {
    const messages = await MessagesServer.start({
      connections: { drainTimeoutMs: 120_000 },
      websocket: { closeTimeoutMs: 120_000 },
    });
    const socket = await openByHand(messages);
    await messages.server.close();
    await socket.waitForEnd();
    expect(socket.received).toContain("\x10\x05");
  });

  it("tells all to come back when the server stops, and waits for them", async () => {
    const messages = await MessagesServer.start();
    const clients = [await messages.open(), await messages.openRaw()];
    await clients[0]?.subscribe("a", { collection: "messages" });
    const token = await messages.mint();
    const closed = messages.server.close();
    for (const client of clients) expect((await client.waitForClose()).code).toBe(4101);
    await closed;
    await expect(WebSocketClient.open(messages.url, { token })).rejects.toThrow("ECONNREFUSED");
  });

  it("refuses those whose token is still being checked when the server stops, SSE included", async () => {
    const messages = await MessagesServer.start({ keyCacheMs: 0 });
    const blocker = await messages.server.database.pool.connect();
    const token = await messages.mint();
    const requests = [
      upgradeRequest(token, []),
      upgradeRequest(token),
      `GET /v1/events/subscribe?collection=messages HTTP/1.1\r\nhost: test\r\napikey: ${messages.acme.anonKey}\r\n\r\n`,
    ];
    const sockets: RawSocket[] = [];
    closers.push(() => sockets.forEach((socket) => socket.close()));
    await blocker.query("begin");
    await blocker.query("lock table paperdb.keys in access exclusive mode");
    for (const request of requests) sockets.push(await RawSocket.open(messages.url, request));
    // Both tokens are of one key, which is looked up once.
    const waiting = "select 1 from pg_locks where not granted and relation = 'paperdb.keys'::regclass";
    await until(async () => (await messages.server.database.query(waiting)).rows.length >= 2);
    const closed = messages.server.close();
    await blocker.query("rollback");
    blocker.release();
    for (const socket of sockets) {
      await socket.waitForEnd();
      expect(socket.received).toMatch(/^HTTP\/1\.1 503 [^]*connection: close[^]*"code":"draining"/);
    }
    await closed;
  });

  it("does not wait for ever for a client that does not answer when the server stops", async () => {
    const messages = await MessagesServer.start({
      connections: { drainTimeoutMs: 300 },
      websocket: { closeTimeoutMs: 60_000 },
    });
    const socket = await openByHand(messages);
    await messages.server.close();
    await socket.waitForEnd();
  });
});

describe("pings of a client", () => {
  it("are answered with their payload; of many at once, the last", async () => {
    const messages = await start();
    const client = await messages.open();
    client.socket.ping("one");
    await until(() => client.pongs.length === 1);
    expect(client.pongs).toEqual(["one"]);
    const many = Array.from({ length: 50 }, (_, index) => `ping ${index}`);
    for (const payload of many) client.socket.ping(payload);
    await until(() => client.pongs.at(-1) === "ping 49", { describe: () => `pongs ${client.pongs.join()}` });
    expect(many).toEqual(expect.arrayContaining(client.pongs.slice(1)));
  });
});

describe("pages", () => {
  it("of origins that are not configured may not connect; programs may", async () => {
    const messages = await start({ cors: { origins: ["https://app.example.com"] } });
    const token = await messages.mint();
    const good = await messages.open({ token, headers: { origin: "https://app.example.com" } });
    await good.subscribe("a", { collection: "messages" });
    await messages.open({ token });
    for (const origin of ["https://evil.example.com", "http://app.example.com", "null", ""]) {
      const refusal = await WebSocketClient.refused(messages.url, { token, headers: { origin } });
      expect(refusal).toMatchObject({ status: 403, code: "origin_not_allowed" });
    }
  });

  it("of any origin may connect unless origins are configured", async () => {
    const messages = await start();
    await messages.open({ headers: { origin: "https://anything.example.com" } });
  });
});

describe("an outage of the database", () => {
  it("is a retryable error for new subscriptions and tokens; those there are go on, and are reset", async () => {
    const postgres = await startPostgres();
    closers.push(() => postgres.stop());
    const database = openDatabase(postgres.url);
    closers.push(() => database.drop());
    const messages = await start({ keyCacheMs: 0 }, database);
    const client = await messages.open();
    const { channel } = await client.subscribe("a", { collection: "messages" });
    const token = await messages.mint();
    const rawToken = await messages.mint({ collections: ["messages"] });

    await postgres.kill();
    await until(async () => (await fetch(`${messages.url}/readyz`)).status === 503);
    client.send({ type: "subscribe", id: "b", collection: "notifications" });
    expect(await client.waitFor("error")).toMatchObject({
      id: "b",
      code: "source_unavailable",
      retryable: true,
    });
    client.send({ type: "auth", token });
    const refusal = await client.waitFor("error", 2);
    expect(refusal).toMatchObject({ code: "key_store_unavailable", retryable: true });
    expect(refusal).not.toHaveProperty("id");
    expect(await WebSocketClient.refused(messages.url, { token: rawToken })).toMatchObject({
      status: 503,
      code: "key_store_unavailable",
    });

    await postgres.start();
    expect(await until(() => client.ofType("reset")[0])).toMatchObject({ id: "a" });
    await client.waitFor("ready", 2);
    await messages.add("messages", "acme", "after");
    await client.waitFor("event");
    expect(client.events(channel)).toHaveLength(1);
    await client.subscribe("b", { collection: "notifications" });
    const topics = await messages.mint({ topics: ["x"] });
    client.send({ type: "auth", token: topics });
    await client.subscribe("c", { topic: "x" });
    expect(client.ofType("error").map(({ id }) => id)).toEqual(["b", undefined, "a", "b"]);
  });
});
