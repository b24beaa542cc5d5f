import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { SocketWriter } from "./socket-writer.ts";

async function open(): Promise<{ writer: SocketWriter; socket: Socket; client: Socket; drains: number[] }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await accepted) as [Socket];
  onTestFinished(() => {
    socket.destroy();
    client.destroy();
    server.close();
  });
  const drains: number[] = [];
  const writer = new SocketWriter(socket, {
    drained: () => drains.push(writer.waitingBytes),
    progressed: () => undefined,
  });
  return { writer, socket, client, drains };
}

it("sends what is written while a large write is under way after it, in order", async () => {
  const { writer, client, drains } = await open();
  client.pause();
  const chunks: Buffer[] = [];
  client.on("data", (chunk: Buffer) => chunks.push(chunk));
  client.pause();
  const large = Buffer.alloc(20 * 1024 * 1024, "0123456789abcdef");
  expect(writer.write(large)).toBe(false);
  expect(writer.keepsUp).toBe(false);
  expect(writer.write(Buffer.from("one"))).toBe(false);
  expect(writer.write(Buffer.from("two"))).toBe(false);
  expect(writer.waitingBytes).toBeGreaterThan(6);
  client.resume();
  await expect.poll(() => writer.keepsUp).toBe(true);
  expect(writer.waitingBytes).toBe(0);
  expect(drains.at(-1)).toBe(0);
  await expect.poll(() => chunks.reduce((sum, { length }) => sum + length, 0)).toBe(large.length + 6);
  const received = Buffer.concat(chunks);
  expect(received.subarray(0, large.length).equals(large)).toBe(true);
  expect(received.subarray(large.length).toString()).toBe("onetwo");
});

it("keeps the order, whatever is written when (property)", async () => {
  const { writer, client } = await open();
  const sizes = fc.array(fc.oneof(fc.nat(100), fc.integer({ min: 60_000, max: 400_000 })), { maxLength: 8 });
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
