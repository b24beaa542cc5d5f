import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { cutOff } from "./cut-off.ts";
import { handleOf } from "./socket-handle.ts";
import { SocketWriter } from "./socket-writer.ts";

const MORE_THAN_THE_SYSTEM_TAKES = Buffer.alloc(20 * 1024 * 1024, "x");

interface Opened {
  readonly socket: Socket;
  readonly writer: SocketWriter;
  readonly client: Socket;
}

/** A client that does not read, and a socket that was written to until the system took no more. */
async function openUnread(): Promise<Opened> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
  const [[socket]] = (await Promise.all([accepted, once(client, "connect")])) as [[Socket], unknown];
  onTestFinished(() => {
    socket.destroy();
    client.destroy();
    server.close();
  });
  const writer = new SocketWriter(socket, { drained: () => undefined, progressed: () => undefined });
  return { socket, writer, client };
}

/** What the system has taken of all that was written. */
function takenBytes(socket: Socket): number {
  const { writeQueueSize } = handleOf(socket) as unknown as { readonly writeQueueSize: number };
  return socket.bytesWritten - writeQueueSize;
}

async function readToTheEnd(client: Socket): Promise<number> {
  let receivedBytes = 0;
  client.on("data", ({ length }: Buffer) => {
    receivedBytes += length;
  });
  // Whether a reset is one to the reader as well depends on the system.
  client.on("error", () => undefined);
  const closed = once(client, "close");
  client.resume();
  await closed;
  return receivedBytes;
}

it("has the system forget what the peer has not taken", async () => {
  const { socket, writer, client } = await openUnread();
  expect(writer.write(MORE_THAN_THE_SYSTEM_TAKES)).toBe(false);
  const closed = once(socket, "close");
  const taken = takenBytes(socket);
  cutOff(socket);
  await closed;
  expect(await readToTheEnd(client)).toBeLessThan(taken);
});

it("ends a connection whose end waits for its last bytes", async () => {
  const { socket, writer, client } = await openUnread();
  const closed = once(socket, "close");
  const part = MORE_THAN_THE_SYSTEM_TAKES.subarray(0, 65_536);
  while (writer.keepsUp) writer.write(part);
  writer.end();
  expect(socket.writableEnded).toBe(true);
  cutOff(socket);
  await closed;
  expect(await readToTheEnd(client)).toBeGreaterThan(0);
});
