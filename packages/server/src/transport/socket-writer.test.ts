import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { writableHandleOf } from "./socket-handle.ts";
import { SocketWriter } from "./socket-writer.ts";

interface Opened {
  readonly writer: SocketWriter;
  readonly socket: Socket;
  readonly client: Socket;
  readonly drains: boolean[];
}

/** Both ways to write: past the socket, and, where a version of Node has none of that, as to any stream. */
const WAYS = [
  ["to the handle", writableHandleOf],
  ["to the stream", () => undefined],
] as const;

describe.each(WAYS)("a writer %s", (_way, handleOf) => {
  async function open(): Promise<Opened> {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const [socket] = (await accepted) as [Socket];
    onTestFinished(() => {
      socket.destroy();
      client.destroy();
      server.close();
    });
    const drains: boolean[] = [];
    const events = { drained: () => drains.push(writer.hasWaiting), progressed: () => undefined };
    const writer: SocketWriter = new SocketWriter(socket, events, handleOf(socket));
    return { writer, socket, client, drains };
  }

  it("sends what is written while a large write is under way after it, in order", async () => {
    const { writer, client, drains } = await open();
    const chunks: Buffer[] = [];
    client.on("data", (chunk: Buffer) => chunks.push(chunk));
    client.pause();
    const large = Buffer.alloc(20 * 1024 * 1024, "0123456789abcdef");
    expect(writer.write(large)).toBe(false);
    expect(writer.keepsUp).toBe(false);
    expect(writer.write(Buffer.from("one"))).toBe(false);
    expect(writer.write(Buffer.from("two"))).toBe(false);
    expect(writer.hasWaiting).toBe(true);
    client.resume();
    await expect.poll(() => writer.keepsUp).toBe(true);
    expect(writer.hasWaiting).toBe(false);
    expect(drains.at(-1)).toBe(false);
    await expect.poll(() => chunks.reduce((sum, { length }) => sum + length, 0)).toBe(large.length + 6);
    const received = Buffer.concat(chunks);
    expect(received.subarray(0, large.length).equals(large)).toBe(true);
    expect(received.subarray(large.length).toString()).toBe("onetwo");
  });

  it("keeps the order, whatever is written when (property)", async () => {
    const { writer, client } = await open();
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.integer({ min: 60_000, max: 400_000 })), {
      maxLength: 8,
    });
    let expected = 0;
    let received = 0;
    let mistakes = 0;
    client.on("data", (chunk: Buffer) => {
      for (const byte of chunk) {
        if (byte !== received % 251) mistakes += 1;
        received += 1;
      }
    });
    await fc.assert(
      fc.asyncProperty(sizes, async (lengths) => {
        for (const length of lengths) {
          const start = expected;
          writer.write(Buffer.from(Uint8Array.from({ length }, (_, index) => (start + index) % 251)));
          expected += length;
        }
        await expect.poll(() => received, { interval: 5 }).toBe(expected);
        expect(mistakes).toBe(0);
        await expect.poll(() => writer.keepsUp, { interval: 5 }).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it("ends behind all that was written, and writes nothing after it", async () => {
    const { writer, client, drains } = await open();
    client.pause();
    const large = Buffer.alloc(5 * 1024 * 1024, "x");
    let bytes = 0;
    client.on("data", (chunk: Buffer) => (bytes += chunk.length));
    client.pause();
    writer.write(large);
    writer.end();
    expect([writer.keepsUp, writer.write(Buffer.from("late"))]).toEqual([false, false]);
    const ended = once(client, "end");
    client.resume();
    await ended;
    expect([bytes, drains, writer.keepsUp]).toEqual([large.length, [], false]);
  });

  it("does not keep up with a peer that is gone, and destroys its socket", async () => {
    const { writer, socket, client } = await open();
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => undefined);
    client.resetAndDestroy();
    await expect.poll(() => writer.write(Buffer.from("x"))).toBe(false);
    await closed;
    expect(writer.write(Buffer.from("x"))).toBe(false);
  });

  it("gives up what is under way with its socket", async () => {
    const { writer, socket, client, drains } = await open();
    client.pause();
    writer.write(Buffer.alloc(20 * 1024 * 1024, "x"));
    const closed = once(socket, "close");
    socket.destroy();
    await closed;
    expect([writer.keepsUp, writer.write(Buffer.from("x")), drains]).toEqual([false, false, []]);
  });
});

it("is written to past the stream in this version of Node", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(client, "connect");
  expect(writableHandleOf(client)).toBeDefined();
  client.destroy();
  server.close();
});
