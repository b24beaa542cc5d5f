import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { clientFrame, OPCODES } from "../support/client-frame.ts";
import { MessagesServer } from "../support/messages-server.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { SnapshotSubscription } from "../support/snapshot-subscription.ts";
import { PatientState } from "../support/snapshots.ts";
import { until } from "../support/until.ts";
import { upgradeRequest } from "../support/upgrade-request.ts";
import type { WebSocketClient } from "../support/websocket-client.ts";
import { digestOf, readWithPython } from "../support/websocket-reader.ts";

/** What gets much smaller. */
const TEXT = "the quick brown fox jumps over the lazy dog ".repeat(60);
const RSV1 = 0x40;
const MAX_MESSAGE_BYTES = 65_536;

let messages: MessagesServer;

beforeAll(async () => {
  messages = await MessagesServer.start({
    compression: { enabled: true, maxTimePercent: 100 },
    connections: { maxBufferedBytes: 1024 * 1024 },
    snapshots: { batchRows: 10 },
    websocket: { maxMessageBytes: MAX_MESSAGE_BYTES },
  });
});

afterEach(() => messages.closeClients());

afterAll(() => messages.close());

function bodiesOf(client: WebSocketClient): unknown[] {
  return client.events().map((event) => (event as { data: { body: unknown } }).data.body);
}

/** Offers the extension by these words, and sends nothing more. */
async function offer(extensions: string): Promise<RawSocket> {
  const request = upgradeRequest(await messages.mint(), [`sec-websocket-extensions: ${extensions}`]);
  const socket = await RawSocket.open(messages.url, request);
  await socket.waitFor("\r\n\r\n");
  expect(socket.received).toMatch(/^HTTP\/1.1 101 /);
  return socket;
}

function extensionOf({ received }: RawSocket): string | undefined {
  return /^sec-websocket-extensions: (.*)\r$/im.exec(received)?.[1];
}

describe("the extension permessage-deflate", () => {
  it("is agreed on with those that offer it", async () => {
    const client = await messages.open({ compressed: true });
    expect(client.socket.extensions).toContain("permessage-deflate");
    expect((await messages.open()).socket.extensions).toBe("");
  });

  it("is not agreed on where an offer cannot be kept, and messages are then as they are", async () => {
    const socket = await offer("permessage-deflate; server_max_window_bits=9");
    expect(extensionOf(socket)).toBeUndefined();
    await messages.add("messages", "acme", TEXT);
    await socket.waitFor(TEXT);
    socket.close();
  });

  it("carries messages that are compressed", async () => {
    const socket = await offer("permessage-deflate; client_max_window_bits");
    expect(extensionOf(socket)).toBe(
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    );
    // On a busy machine there may be no time to compress the first one.
    await until(
      async () => {
        const before = socket.received.length;
        await messages.add("messages", "acme", TEXT);
        await until(() => socket.received.length > before, { describe: "a message" });
        const isSmall = socket.received.length - before < TEXT.length / 4;
        return isSmall && socket.received.charCodeAt(before) === (0x80 | RSV1 | OPCODES.text);
      },
      { describe: "a compressed message" },
    );
    socket.close();
  });
});

describe("subscribers of one channel", () => {
  it("get the same events, compressed or not, and none of another tenant's", async () => {
    const clients = [await messages.open({ compressed: true }), await messages.open()];
    for (const client of clients) await client.subscribe("a", { collection: "messages" });
    const token = await messages.mint();
    const raw = await messages.open({ token, protocol: undefined, compressed: true });
    const others = await messages.mint({ collections: ["messages"] }, messages.other);
    const other = await messages.open({ token: others, compressed: true });
    await other.subscribe("a", { collection: "messages" });
    const bodies = Array.from({ length: 100 }, (_, index) => `${index} ${index % 3 === 0 ? "short" : TEXT}`);
    await messages.add("messages", "acme", ...bodies);
    await messages.add("messages", "other", `theirs ${TEXT}`);
    for (const client of clients) {
      await client.waitFor("event", bodies.length);
      expect(bodiesOf(client)).toEqual(bodies);
    }
    await raw.waitForTexts(bodies.length);
    expect(raw.texts.map((text) => (JSON.parse(text) as { data: { body: string } }).data.body)).toEqual(
      bodies,
    );
    await other.waitFor("event");
    expect(bodiesOf(other)).toEqual([`theirs ${TEXT}`]);
  });

  it("resume with exactly what they missed", async () => {
    const client = await messages.open({ compressed: true });
    await client.subscribe("a", { collection: "messages" });
    await messages.add("messages", "acme", "seen");
    const { cursor } = await client.waitFor("event");
    client.close();
    const missed = Array.from({ length: 30 }, (_, index) => `missed ${index} ${TEXT}`);
    await messages.add("messages", "acme", ...missed);
    for (const compressed of [true, false]) {
      const back = await messages.open({ compressed });
      expect(await back.subscribe("a", { collection: "messages" }, cursor)).toMatchObject({ resumed: true });
      await back.waitFor("event", missed.length);
      expect(bodiesOf(back)).toEqual(missed);
    }
  });

  it("get documents first, where they ask for them, and see what their filters let through", async () => {
    const rows = Array.from({ length: 25 }, (_, index) => `${index} ${TEXT}`);
    await messages.add("notifications", "acme", ...rows);
    const where = { body: { $ne: "hidden" } };
    for (const compressed of [true, false]) {
      const client = await messages.open({ compressed });
      const subscription = new SnapshotSubscription(
        client,
        "a",
        "notifications",
        { where },
        () => new PatientState(),
      );
      await subscription.ready();
      const before = subscription.documents.size;
      expect(before).toBeGreaterThanOrEqual(rows.length);
      await messages.add("notifications", "acme", "hidden", `shown ${TEXT}`);
      await until(() => subscription.documents.size === before + 1, { describe: "what is shown" });
      const held = [...subscription.documents.values()].map(({ body }) => body);
      expect(held).toEqual(expect.arrayContaining([...rows, `shown ${TEXT}`]));
      expect(held).not.toContain("hidden");
    }
  });

  it("do not suffer from one that does not read, which is closed", async () => {
    const [stalled, reader] = [
      await messages.open({ compressed: true }),
      await messages.open({ compressed: true }),
    ];
    for (const client of [stalled, reader]) await client.subscribe("a", { topic: "bulk" });
    stalled.socket.pause();
    const before = await messages.metric("paperdb_slow_consumers_total");
    let sent = 0;
    await until(
      async () => {
        // Half as long when it is compressed.
        await messages.publish("bulk", randomBytes(250_000).toString("hex"));
        sent += 1;
        await reader.waitFor("event", sent);
        return (await messages.metric("paperdb_slow_consumers_total")) > before;
      },
      {
        intervalMs: 0,
        describe: () => `the end of a client behind ${String(sent)} events`,
      },
    );
    stalled.socket.resume();
    expect((await stalled.waitForClose()).code).toBe(4100);
    expect(reader.closed).toBeUndefined();
    expect(stalled.events().length).toBeLessThan(sent);
  });

  it("read what is compressed also in Python", async () => {
    const token = await messages.mint({ topics: ["python"] });
    const url = `${messages.url.replace("http", "ws")}/realtime?token=${token}`;
    const subscribe = [{ type: "subscribe", id: "a", topic: "python" }];
    const python = readWithPython(url, "paperdb.v1", subscribe, true);
    try {
      await python.opened;
      const client = await messages.open({ compressed: true });
      await client.subscribe("a", { topic: "python" });
      await until(async () => (await messages.metric("paperdb_subscriptions")) === 2);
      for (const data of ["short", TEXT, TEXT.repeat(100), "日本語 🦊".repeat(500)]) {
        await messages.publish("python", data);
      }
      await client.waitFor("event", 4);
      const { body } = await messages.server.admin("GET", "connections");
      for (const { id } of (body as { connections: { id: string }[] }).connections) {
        await messages.server.admin("DELETE", `connections/${id}`);
      }
      const digests = client.texts.filter((text) => text.startsWith('{"type":"event"')).map(digestOf);
      const read = (await python.result).messages;
      expect(read.filter(({ sha256 }) => digests.some((each) => each.sha256 === sha256))).toEqual(digests);
    } finally {
      python.end();
    }
  });
});

describe("a client's own compressed message", () => {
  it("is read", async () => {
    const client = await messages.open({ compressed: true });
    await client.subscribe("x".repeat(40), { collection: "messages" });
    await client.subscribe("again", { topic: "a" });
    await messages.publish("a", "hello");
    await client.waitFor("event");
  });

  it("may not be longer than allowed once it is read", async () => {
    const client = await messages.open({ compressed: true });
    client.send("x".repeat(50 * 1024 * 1024));
    expect((await client.waitForClose()).code).toBe(1009);
  });

  it.each([
    ["that is no deflate", 1007, { reserved: RSV1 }],
    ["of which a later part says so", 1002, { reserved: RSV1, opcode: OPCODES.continuation }],
  ])("%s ends the connection", async (_name, code, { reserved, ...more }) => {
    const socket = await offer("permessage-deflate");
    const { opcode = OPCODES.text } = more as { opcode?: number };
    socket.send(clientFrame(opcode, "not compressed", { reserved }));
    await socket.waitForEnd();
    const bytes = Buffer.from(socket.received, "latin1");
    expect(bytes.includes(Buffer.from([0x88, 2, code >> 8, code & 0xff]))).toBe(true);
  });

  it("is a violation where it was not agreed on", async () => {
    const socket = await offer("permessage-deflate; server_max_window_bits=8");
    socket.send(clientFrame(OPCODES.text, "\u00f2\u0048\u00cd\u00c9\u00c9\u0007\u0000", { reserved: RSV1 }));
    await socket.waitForEnd();
    expect(Buffer.from(socket.received, "latin1").includes(Buffer.from([0x88, 2, 0x03, 0xea]))).toBe(true);
  });
});
