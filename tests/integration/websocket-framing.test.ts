import { WebSocket } from "ws";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FRAMED_DIGESTS, FRAMED_END, startFrameServer, type FrameServer } from "../support/frame-server.ts";
import { MessagesServer } from "../support/messages-server.ts";
import { until } from "../support/until.ts";
import type { WebSocketClient } from "../support/websocket-client.ts";
import {
  digestOf,
  readWithPython,
  type MessageDigest,
  type PythonReader,
} from "../support/websocket-reader.ts";

const MEBIBYTE = 1024 * 1024;

let frames: FrameServer;
let messages: MessagesServer;
const readers: PythonReader[] = [];

beforeAll(async () => {
  frames = await startFrameServer();
  messages = await MessagesServer.start({
    publish: { maxBodyBytes: 20 * MEBIBYTE },
    connections: { heartbeatIntervalMs: 100, writeTimeoutMs: 120_000 },
    websocket: { closeTimeoutMs: 120_000, peerTimeoutMs: 120_000 },
  });
});

afterEach(() => {
  for (const reader of readers.splice(0)) reader.end();
  messages.closeClients();
});

afterAll(async () => {
  await frames.close();
  await messages.close();
});

function withPython(...parameters: Parameters<typeof readWithPython>): PythonReader {
  const reader = readWithPython(...parameters);
  readers.push(reader);
  return reader;
}

describe("frames of every size and text, with pings between them, and the close frame", () => {
  it("are read by ws", async () => {
    const socket = new WebSocket(frames.url, { perMessageDeflate: false });
    const read: MessageDigest[] = [];
    let pings = 0;
    socket.on("message", (data: Buffer) => read.push(digestOf(data.toString())));
    socket.on("ping", () => {
      pings += 1;
    });
    const end = await new Promise((resolve, reject) => {
      socket.on("error", reject);
      socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    expect(read).toEqual(FRAMED_DIGESTS);
    expect(end).toEqual(FRAMED_END);
    expect(pings).toBeGreaterThan(0);
  });

  it("are read by the Python library websockets", async () => {
    expect(await withPython(frames.url).result).toEqual({ messages: FRAMED_DIGESTS, ...FRAMED_END });
  });
});

describe("messages of the server at the sizes where a frame's header changes", () => {
  it("are read by ws and by Python: 125, 126, 65,535, 65,536 bytes and 16 MiB", async () => {
    const sizes = [125, 126, 65_535, 65_536, 16 * MEBIBYTE];
    const client = await messages.open();
    await client.subscribe("a", { topic: "sizes" });
    const token = await messages.mint({ topics: ["sizes"] });
    const url = `${messages.url.replace("http", "ws")}/realtime?token=${token}`;
    const python = withPython(url, "paperdb.v1", [{ type: "subscribe", id: "a", topic: "sizes" }]);
    await python.opened;
    await until(async () => (await messages.metric("paperdb_subscriptions")) === 2);
    await messages.publish("sizes", "");
    // Of one channel, all but the data is always as long.
    const rest = Buffer.byteLength(JSON.stringify(await client.waitFor("event")));
    for (const size of sizes) await messages.publish("sizes", "x".repeat(size - rest));
    await client.waitFor("event", sizes.length + 1);
    await endConnections();
    await client.waitForClose();
    const events = client.texts.filter((text) => text.startsWith('{"type":"event"')).map(digestOf);
    expect(events.map(({ bytes }) => bytes)).toEqual([rest, ...sizes]);
    const { messages: read, code } = await python.result;
    expect(code).toBe(4104);
    const hashes = new Set(events.map(({ sha256 }) => sha256));
    expect(read.filter(({ sha256 }) => hashes.has(sha256))).toEqual(events);
  });
});

describe("while a message of 16 MiB is on its way", () => {
  const LARGE = "🦊é".repeat((16 * MEBIBYTE) / 6);

  /** A client that has stopped reading, when the server has written as much of a large event as it can. */
  async function openStalled(): Promise<WebSocketClient> {
    const client = await messages.open();
    await client.subscribe("a", { topic: "large" });
    client.socket.pause();
    const written = await eventsOut();
    await messages.publish("large", LARGE);
    await until(async () => (await eventsOut()) === written + 1, { describe: "the write" });
    return client;
  }

  function eventsOut(): Promise<number> {
    return messages.metric('paperdb_events_out_total{source="events",collection="(topics)"}').catch(() => 0);
  }

  it("a ping is answered, and a request too, behind the message", async () => {
    const client = await openStalled();
    for (const payload of ["first", "second"]) client.socket.ping(payload);
    client.send({ type: "subscribe", id: "b", topic: "large.other" });
    client.send({ type: "subscribe", id: "c", topic: "not..valid" });
    // Handled in order, so the pings have arrived too.
    await until(async () => (await messages.metric("paperdb_subscriptions")) === 2);
    const order: string[] = [];
    client.socket.on("message", (data: Buffer) => order.push(data.length > MEBIBYTE ? "large" : "small"));
    client.socket.on("pong", (payload) => order.push(payload.toString()));
    client.socket.resume();
    await until(() => order.includes("second") && client.ofType("error").length === 1);
    await client.waitFor("ready", 2);
    // What was sent before it, such as a heartbeat, may be first.
    expect(order.indexOf("large")).toBeGreaterThan(-1);
    expect(order.indexOf("second")).toBeGreaterThan(order.indexOf("large"));
    const types = client.messages.map(({ type }) => type);
    expect(types.indexOf("error")).toBeGreaterThan(types.indexOf("event"));
    expect(client.events()).toEqual([{ topic: "large", data: LARGE }]);
    expect(order.filter((what) => what === "second")).toHaveLength(1);
  });

  it("a close frame comes behind the message, which arrives whole", async () => {
    const client = await openStalled();
    await endConnections();
    client.socket.resume();
    await until(() => client.closed);
    expect(client.closed?.code).toBe(4104);
    expect(client.events()).toEqual([{ topic: "large", data: LARGE }]);
    await messages.waitForNoConnections();
  });

  it("the client's own close frame is answered behind it", async () => {
    const client = await openStalled();
    client.socket.close(3000, "enough");
    // Its subscription is given up at once.
    await until(async () => (await messages.metric("paperdb_subscriptions")) === 0);
    client.socket.resume();
    await until(() => client.closed);
    expect(client.closed).toEqual({ code: 3000, reason: "enough" });
    await messages.waitForNoConnections();
  });
});

async function endConnections(): Promise<void> {
  const { body } = await messages.server.admin("GET", "connections");
  for (const { id } of body["connections"] as { id: string }[]) {
    await messages.server.admin("DELETE", `connections/${id}`);
  }
}
