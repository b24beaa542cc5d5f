import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { clientFrame, OPCODES } from "../support/client-frame.ts";
import { fetchUsedBytes } from "../support/memory.ts";
import { MessagesServer } from "../support/messages-server.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { countResources, untilResourcesAreBack } from "../support/resources.ts";
import { until } from "../support/until.ts";
import { upgradeRequest } from "../support/upgrade-request.ts";
import type { WebSocketClient } from "../support/websocket-client.ts";

const MEBIBYTE = 1024 * 1024;
const MAX_HISTORY_BYTES = 8 * MEBIBYTE;

let messages: MessagesServer;
let token: string;
const sockets: RawSocket[] = [];

beforeAll(async () => {
  messages = await MessagesServer.start({
    history: { maxBytesTotal: MAX_HISTORY_BYTES, maxBytesPerChannel: MAX_HISTORY_BYTES, lingerMs: 0 },
    connections: { maxBufferedBytes: 4 * MEBIBYTE },
    websocket: { closeTimeoutMs: 600_000, peerTimeoutMs: 600_000 },
  });
  token = await messages.mint({ collections: ["messages"], topics: [">"] });
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
  messages.closeClients();
});

afterAll(() => messages.close());

/** A `paperdb.v1` connection on which anything can be sent. */
async function openByHand(): Promise<RawSocket> {
  const socket = await RawSocket.open(messages.url, upgradeRequest(token));
  sockets.push(socket);
  await socket.waitFor("\r\n\r\n");
  expect(socket.received).toMatch(/^HTTP\/1\.1 101 /);
  socket.received = "";
  return socket;
}

function subscribeFrame(id: string, subject: unknown = { collection: "messages" }): string {
  return clientFrame(OPCODES.text, JSON.stringify({ type: "subscribe", id, ...(subject as object) }));
}

/** A close frame with this code, and the end. */
async function expectClose(socket: RawSocket, code: number): Promise<void> {
  await socket.waitForEnd();
  const at = socket.received.lastIndexOf("\x88");
  const payload = socket.received.slice(at + 2);
  expect([at === -1, payload.charCodeAt(0) * 256 + payload.charCodeAt(1)]).toEqual([false, code]);
}

/** That not much more memory is in use than before, once the test's own writes are let go. */
async function expectUsed(beforeBytes: number, maxMebibytes: number): Promise<void> {
  const more = (): number => (fetchUsedBytes() - beforeBytes) / MEBIBYTE;
  await until(() => more() < maxMebibytes, {
    intervalMs: 100,
    describe: () => `${maxMebibytes} MiB more in use at most, got ${more()}`,
  });
}

/** Channels are given up a moment after their last subscription. */
function waitForNoChannels(): Promise<boolean> {
  return until(async () => (await messages.metric("paperdb_channels")) === 0, { describe: "no channels" });
}

/** That a client that behaves is served, and that nothing is left of the others. */
async function expectHealth(): Promise<void> {
  await messages.waitForNoConnections();
  const client = await messages.open({ token });
  await client.subscribe("a", { collection: "messages" });
  await messages.add("messages", "acme", "healthy");
  await client.waitFor("event");
  expect(client.events()).toMatchObject([{ data: { body: "healthy" } }]);
  client.close();
  await messages.waitForNoConnections();
}

describe("frames that no client may send", () => {
  const text = (payload: string, options = {}): string => clientFrame(OPCODES.text, payload, options);

  it.each<[string, number, () => string]>([
    ["random bytes", 1002, () => `\xff${randomBytes(4096).toString("latin1")}`],
    ["an HTTP request", 1002, () => upgradeRequest(token)],
    ["frames without a mask", 1002, () => text("{}", { masked: false })],
    ["a reserved bit", 1002, () => text("{}", { reserved: 0x40 })],
    ["an unknown kind of frame", 1002, () => clientFrame(3, "")],
    ["a continuation of nothing", 1002, () => clientFrame(OPCODES.continuation, "x")],
    ["a message within a message", 1002, () => text("a", { final: false }) + text("b")],
    ["a ping in parts", 1002, () => clientFrame(OPCODES.ping, "x", { final: false })],
    ["a ping of 126 bytes", 1002, () => clientFrame(OPCODES.ping, "x".repeat(126))],
    ["a close frame of one byte", 1002, () => clientFrame(OPCODES.close, "x")],
    ["a close code that is reserved", 1002, () => clientFrame(OPCODES.close, "\x03\xed")],
    ["text that is not UTF-8", 1007, () => text("\xff\xfe")],
    ["a frame of 1 MiB", 1009, () => text("x".repeat(MEBIBYTE))],
    ["a frame of 8 EiB", 1009, () => text("x", { claimedBytes: 2 ** 62 })],
    ["a message of 1 MiB in parts", 1009, () => parts(1024, 1024)],
    ["a message in very many tiny parts", 1008, () => parts(1, 2000)],
    ["a message in very many empty parts", 1008, () => parts(0, 100_000)],
  ])("%s: the close %i, and the end", async (_name, code, bytes) => {
    const socket = await openByHand();
    socket.send(bytes());
    await expectClose(socket, code);
    await expectHealth();
  });

  function parts(bytes: number, count: number): string {
    const part = clientFrame(OPCODES.continuation, "x".repeat(bytes), { final: false });
    return text("x", { final: false }) + part.repeat(count);
  }

  it("a message of the largest size is read, a byte more is not", async () => {
    const message = (id: string, bytes: number): string => {
      const json = JSON.stringify({ type: "subscribe", id, topic: id });
      return clientFrame(OPCODES.text, json + " ".repeat(bytes - json.length));
    };
    const socket = await openByHand();
    socket.send(message("a", 65_536));
    await socket.waitFor('"ready"');
    socket.send(message("b", 65_537));
    await expectClose(socket, 1009);
    await expectHealth();
  });

  it("a message byte by byte, and frames in one packet, are read all the same", async () => {
    const socket = await openByHand();
    socket.socket.setNoDelay(true);
    for (const byte of subscribeFrame("slow")) {
      socket.send(byte);
      await new Promise(setImmediate);
    }
    await socket.waitFor('"id":"slow"');
    socket.send(
      subscribeFrame("b", { topic: "b" }) +
        clientFrame(OPCODES.ping, "p") +
        subscribeFrame("c", { topic: "c" }),
    );
    await socket.waitFor('"id":"c"');
    await socket.waitFor("\x8a\x01p");
    socket.close();
    await expectHealth();
  });

  it("frames that are sent before the handshake is answered are read once it is", async () => {
    const socket = await RawSocket.open(messages.url, upgradeRequest(token) + subscribeFrame("early"));
    sockets.push(socket);
    socket.send(subscribeFrame("later", { topic: "later" }));
    await socket.waitFor('"id":"early"');
    await socket.waitFor('"id":"later"');
    expect(socket.received).toMatch(/^HTTP\/1\.1 101 /);
    socket.close();
    await expectHealth();
  });

  it("a handshake behind a request that is still being answered ends the connection", async () => {
    const stream = `GET /v1/events/subscribe?collection=messages&token=${token} HTTP/1.1\r\nhost: test\r\n\r\n`;
    const socket = await RawSocket.open(messages.url, stream + upgradeRequest(token));
    await socket.waitForEnd();
    expect(socket.received).not.toContain(" 101 ");
    const afterwards = await RawSocket.open(messages.url, "GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n");
    sockets.push(afterwards);
    await afterwards.waitFor('{"status":"ok"}');
    afterwards.send(upgradeRequest(token));
    await afterwards.waitFor(" 101 ");
    afterwards.close();
    await expectHealth();
  });

  it("a flood of pings and pongs is read as slowly as messages, and answered at last, in both forms", async () => {
    for (const headers of [undefined, []]) {
      const socket = await RawSocket.open(messages.url, upgradeRequest(token, headers));
      sockets.push(socket);
      await socket.waitFor("\r\n\r\n");
      socket.send((clientFrame(OPCODES.ping, "flood") + clientFrame(OPCODES.pong, "")).repeat(10_000));
      socket.send(clientFrame(OPCODES.ping, "the last"));
      await socket.waitFor("\x8a\x08the last");
      expect(socket.received.split("\x8a\x05flood").length).toBeLessThan(2000);
      socket.close();
    }
    await expectHealth();
  });

  it("a client that goes on sending after its violation costs nothing", async () => {
    const socket = await openByHand();
    socket.send(clientFrame(3, ""));
    const flood = "x".repeat(MEBIBYTE);
    const before = fetchUsedBytes();
    for (let round = 0; round < 32 && !socket.closed; round += 1) {
      socket.send(flood);
      await until(() => socket.closed || socket.socket.writableLength === 0, { describe: "the flood" });
    }
    await expectUsed(before, 16);
    socket.close();
    await expectHealth();
  });
});

describe("a client that asks too much", () => {
  it("10,000 subscribes at once: is read as slowly as allowed, and others are served meanwhile", async () => {
    const flooder = await messages.open({ token });
    const bystander = await messages.open({ token });
    await bystander.subscribe("a", { collection: "messages" });
    const before = fetchUsedBytes();
    const startedAtMs = performance.now();
    for (let index = 0; index < 10_000; index += 1) {
      flooder.send({ type: "subscribe", id: String(index), collection: `elsewhere ${index}` });
    }
    for (let round = 1; round <= 20; round += 1) {
      await messages.add("messages", "acme", `round ${round}`);
      await bystander.waitFor("event", round);
    }
    const answers = flooder.texts.length;
    const seconds = (performance.now() - startedAtMs) / 1000;
    expect(answers).toBeLessThanOrEqual(100 * (Math.floor(seconds) + 2));
    await expectUsed(before, 24);
    flooder.close();
    bystander.close();
    await expectHealth();
  });

  it("has every message answered in the end, in order", async () => {
    const client = await messages.open({ token });
    for (let index = 0; index < 250; index += 1) {
      client.send({ type: "subscribe", id: String(index), collection: "elsewhere" });
    }
    await client.waitFor("error", 250);
    expect(client.ofType("error").map(({ id }) => id)).toEqual(
      Array.from({ length: 250 }, (_, id) => String(id)),
    );
    client.close();
    await expectHealth();
  });

  it("subscribing and unsubscribing again and again leaves one subscription, and no channel too many", async () => {
    const client = await messages.open({ token });
    for (let index = 0; index < 40; index += 1) {
      client.send({ type: "subscribe", id: "a", topic: `t.${index}` });
      client.send({ type: "unsubscribe", id: "a" });
    }
    await client.subscribe("last", { collection: "messages" });
    expect(await messages.metric("paperdb_subscriptions")).toBe(1);
    client.close();
    await waitForNoChannels();
    await expectHealth();
  });
});

describe("a client that never reads", () => {
  /** Closed with 4100, once it reads again. */
  async function expectSlowConsumer(client: WebSocketClient): Promise<void> {
    client.socket.resume();
    expect((await client.waitForClose()).code).toBe(4100);
  }

  it("is closed at the bound; a reader gets everything, and memory stays flat", async () => {
    const batches = 30;
    const slowBefore = await messages.metric("paperdb_slow_consumers_total");
    const reader = await messages.open({ token });
    await reader.subscribe("a", { collection: "messages" });
    let rows = 0;
    reader.socket.removeAllListeners("message");
    reader.socket.on("message", () => {
      rows += 1;
    });
    const stalled = await messages.open({ token });
    await stalled.subscribe("a", { collection: "messages" });
    await stalled.subscribe("b", { topic: "x" });
    const stalledRaw = await messages.openRaw(token);
    for (const client of [stalled, stalledRaw]) client.socket.pause();
    await until(async () => (await messages.metric("paperdb_subscriptions")) === 4);

    const baseline = fetchUsedBytes();
    let most = 0;
    for (let batch = 1; batch <= batches; batch += 1) {
      await messages.server.database.query(
        `insert into messages (tenant_id, body) select 'acme', repeat('x', ${MEBIBYTE}) from generate_series(1, 4)`,
      );
      await until(() => rows >= batch * 4, { describe: () => `batch ${batch}, got ${rows}` });
      most = Math.max(most, fetchUsedBytes() - baseline);
    }
    await until(async () => (await messages.metric("paperdb_subscriptions")) === 1, {
      describe: "one subscription",
    });
    expect(await messages.metric("paperdb_slow_consumers_total")).toBeGreaterThanOrEqual(slowBefore + 2);
    // Far more went through than the history, in two forms, and what is on its way: that may stay.
    expect(most / MEBIBYTE).toBeLessThan(batches * 4 * 0.9);
    for (const client of [stalled, stalledRaw]) await expectSlowConsumer(client);
    expect(reader.closed).toBeUndefined();
    reader.close();
    await expectHealth();
  });

  it("and asks: nothing more is read from it, it is closed, and a reader gets everything", async () => {
    const eager = await MessagesServer.start({
      connections: { heartbeatIntervalMs: 60_000, writeTimeoutMs: 1000 },
      websocket: { maxMessagesPerSecond: 1_000_000, closeTimeoutMs: 600_000, peerTimeoutMs: 600_000 },
    });
    const silent: RawSocket[] = [];
    try {
      const innocent = await eager.open();
      const { channel } = await innocent.subscribe("a", { topic: "order.*" });
      // One that asks while it is subscribed to the same channel, the others without any subscription.
      const subscribed = await eager.open();
      await subscribed.subscribe("b", { topic: "order.*" });
      subscribed.socket.pause();
      const request = upgradeRequest(await eager.mint({ topics: [">"] }));
      for (let index = 0; index < 4; index += 1) {
        const socket = await RawSocket.open(eager.url, request);
        silent.push(socket);
        await socket.waitFor(" 101 ");
        socket.socket.pause();
      }
      const collection = "x".repeat(500);
      const question = JSON.stringify({ type: "subscribe", id: "q", collection });
      const questions = clientFrame(OPCODES.text, question).repeat(1000);
      const before = fetchUsedBytes();
      let most = 0;
      const closed = 'paperdb_websockets_closed_total{reason="slow_consumer"}';
      await until(
        async () => {
          for (const { socket } of silent) {
            if (socket.writableLength === 0) socket.write(questions, "latin1");
          }
          if (subscribed.socket.bufferedAmount === 0) {
            for (let index = 0; index < 1000; index += 1) subscribed.send(question);
          }
          most = Math.max(most, fetchUsedBytes() - before);
          return (await eager.metric(closed, 0)) === 5;
        },
        { describe: () => `five closed, ${most} bytes in use` },
      );
      expect(most / MEBIBYTE).toBeLessThan(40);
      await expectSlowConsumer(subscribed);
      expect(subscribed.closed?.reason).toContain("answers");
      for (let index = 0; index < 3; index += 1) await eager.publish("order.created", index);
      await innocent.waitFor("event", 3);
      expect(innocent.events(channel)).toMatchObject([{ data: 0 }, { data: 1 }, { data: 2 }]);
      expect(await eager.metric("paperdb_subscriptions")).toBe(1);
    } finally {
      for (const socket of silent) socket.close();
      await eager.close();
    }
  });
});

describe("a client that reads slowly", () => {
  it("gets the events of all its subscriptions, each in order, without a gap", async () => {
    const client = await messages.open();
    const subjects = [
      { collection: "messages" },
      { collection: "notifications" },
      { topic: "a.*" },
      { topic: "a.b" },
    ];
    const channels: string[] = [];
    for (const [index, subject] of subjects.entries()) {
      channels.push((await client.subscribe(String(index), subject)).channel);
    }
    const count = 60;
    const filler = "x".repeat(20_000);
    let reads = 0;
    const readNowAndThen = setInterval(() => {
      reads += 1;
      if (reads % 2 === 0) client.socket.resume();
      else client.socket.pause();
    }, 15);
    try {
      for (let index = 0; index < count; index += 1) {
        await messages.add("messages", "acme", `${index} ${filler}`);
        await messages.add("notifications", "acme", `${index} ${filler}`);
        await messages.publish("a.b", `${index} ${filler}`);
      }
      await client.waitFor("event", count * 4);
    } finally {
      clearInterval(readNowAndThen);
      client.socket.resume();
    }
    const expected = Array.from({ length: count }, (_, index) => String(index));
    for (const channel of channels) {
      const numbers = client.events(channel).map((event) => {
        const { data } = event as { data: string | { body: string } };
        return (typeof data === "string" ? data : data.body).split(" ", 1)[0];
      });
      expect(numbers).toEqual(expected);
    }
    expect(client.closed).toBeUndefined();
    client.close();
    await expectHealth();
  });
});

describe("connections that are opened and dropped", () => {
  /** Each drops at another moment, in another way. */
  async function openAndDrop(index: number): Promise<void> {
    const request = upgradeRequest(token, index % 2 === 0 ? [] : undefined);
    const socket = await RawSocket.open(messages.url, index % 6 === 0 ? request.slice(0, -2) : request);
    if (index % 6 > 1) {
      await socket.waitFor(" 101 ");
      if (index % 2 === 1) socket.send(subscribeFrame("a", { topic: `t.${index}` }));
    }
    if (index % 6 > 3 && index % 2 === 1) await socket.waitFor('"ready"');
    switch (index % 5) {
      case 0:
        socket.socket.end();
        await socket.waitForEnd();
        break;
      case 1:
        socket.send(clientFrame(OPCODES.close, "\x03\xe8"));
        socket.close();
        break;
      case 2:
        socket.send(clientFrame(OPCODES.text, "half a message").slice(0, -4));
        socket.close();
        break;
      default:
        socket.close(index % 5 === 3);
    }
    await until(() => socket.closed, { describe: `the end of connection ${index}` });
  }

  async function openAndDropMany(count: number): Promise<void> {
    for (let first = 0; first < count; first += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => openAndDrop(first + index)));
    }
    await messages.waitForNoConnections();
  }

  it("leave nothing behind", async () => {
    await openAndDropMany(200);
    const bytesBefore = fetchUsedBytes();
    const before = countResources();
    await openAndDropMany(1000);
    await untilResourcesAreBack(before);
    await waitForNoChannels();
    // That is 16 KiB each: less than a socket with its buffers.
    await expectUsed(bytesBefore, 16);
    await expectHealth();
  });

  it("also while the token is being checked, or too slowly", async () => {
    const slow = await MessagesServer.start({ keyCacheMs: 0, websocket: { handshakeTimeoutMs: 4000 } });
    const blocker = await slow.server.database.pool.connect();
    const own: RawSocket[] = [];
    try {
      const collections = ["messages"];
      const request = upgradeRequest(await slow.mint({ collections }));
      await blocker.query("begin");
      await blocker.query("lock table paperdb.keys in access exclusive mode");
      for (const drop of ["end", "destroy", "wait"]) {
        const socket = await RawSocket.open(slow.url, request);
        own.push(socket);
        if (drop === "end") socket.socket.end();
        if (drop === "destroy") socket.close(true);
      }
      const [ended, , waiting] = own;
      await until(() => ended?.closed || ended?.ended, {
        describe: "the end of the first",
      });
      expect(ended?.received).toBe("");
      await waiting?.waitForEnd();
      expect(waiting?.received).toMatch(/^HTTP\/1\.1 503 [^]*"code":"source_unavailable"/);
    } finally {
      await blocker.query("rollback");
      blocker.release();
      for (const socket of own) socket.close();
      await slow.waitForNoConnections();
      await slow.close();
    }
  });
});
