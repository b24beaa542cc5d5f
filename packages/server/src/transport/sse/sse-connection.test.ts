import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import type { Subscription } from "../../hub/subscription.ts";
import { SseClient, type SseClientStream } from "./sse-client.ts";
import { SseConnection } from "./sse-connection.ts";
import { PLAIN_SSE } from "./sse-encoding.ts";
import { takeSocket } from "./taken-socket.ts";

const HEAD = "HTTP/1.1 200 OK\r\n\r\n";

/** What the connection takes over from. */
const REQUEST: SseClientStream = { remoteAddress: "", end: () => undefined };

interface Opened {
  readonly connection: SseConnection;
  readonly socket: Socket;
  readonly client: Socket;
  readonly events: string[];
}

async function open(closeTimeoutMs = 20_000): Promise<Opened> {
  const events: string[] = [];
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const [request, response] = (await once(server, "request")) as [IncomingMessage, ServerResponse];
  const socket = takeSocket(request, response);
  const dependencies = {
    hub: {
      resume: () => events.push("drained"),
      progressed: () => events.push("progressed"),
      unsubscribe: () => undefined,
    },
    closeTimeoutMs,
    onClosed: () => events.push("closed"),
  };
  const grant = { tenant: "acme", plan: "pro", keyId: "key", role: "anon" } as const;
  const connection = new SseConnection(dependencies, socket, {
    client: new SseClient({ ...grant, collections: undefined, topics: undefined }, { topic: "x" }, REQUEST),
    encoding: PLAIN_SSE,
    head: HEAD,
  });
  connection.follow({} as Subscription);
  return { connection, socket, client, events };
}

it("sends a large write in parts, whole, and tells of its progress", async () => {
  const { connection, client, events } = await open();
  const large = Buffer.alloc(20 * 1024 * 1024, "0123456789abcdef");
  const chunks: Buffer[] = [];
  client.on("data", (chunk) => chunks.push(chunk));
  client.pause();
  expect(connection.writer.write(large)).toBe(false);
  client.resume();
  await expect.poll(() => events.at(-1)).toBe("drained");
  connection.close();
  await once(client, "close");
  const received = Buffer.concat(chunks);
  expect(received.subarray(0, HEAD.length).toString()).toBe(HEAD);
  expect(received.subarray(HEAD.length).equals(large)).toBe(true);
  expect(events.filter((event) => event === "progressed").length).toBeGreaterThanOrEqual(2);
});

it("is cut rather than torn while a large write is under way", async () => {
  const { connection, client, events } = await open();
  client.pause();
  connection.writer.write(Buffer.alloc(20 * 1024 * 1024, "x"));
  expect(connection.writer.write(Buffer.from("event: reset\n\n"))).toBe(false);
  connection.close("retry: 1\n\n");
  await expect.poll(() => events).toContain("closed");
  let text = "";
  client.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  client.on("error", () => undefined);
  client.resume();
  await once(client, "close");
  expect(text).not.toContain("event: reset");
  expect(text).not.toContain("retry: 1");
});

it("is cut in the end when its peer does not take the last bytes", async () => {
  const { connection, client, events } = await open(1);
  client.pause();
  expect(connection.writer.keepsUp).toBe(true);
  // More than the kernel takes.
  connection.close(`: ${"x".repeat(20 * 1024 * 1024)}\n\n`);
  await expect.poll(() => events).toContain("closed");
});
