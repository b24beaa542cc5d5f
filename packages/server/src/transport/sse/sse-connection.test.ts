import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { SseConnection } from "./sse-connection.ts";
import { PLAIN_SSE } from "./sse-encoding.ts";

interface Opened {
  readonly connection: SseConnection;
  readonly client: Socket;
  readonly events: string[];
}

async function open(): Promise<Opened> {
  const events: string[] = [];
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const connection = await new Promise<SseConnection>((resolve) => {
    server.once("request", (request) => {
      resolve(
        new SseConnection(request, {}, PLAIN_SSE, {
          drained: () => events.push("drained"),
          progressed: () => events.push("progressed"),
          closed: () => events.push("closed"),
        }),
      );
    });
  });
  return { connection, client, events };
}

it("sends a large write in parts, whole, and tells of its progress", async () => {
  const { connection, client, events } = await open();
  const large = Buffer.alloc(20 * 1024 * 1024, "0123456789abcdef");
  const chunks: Buffer[] = [];
  client.on("data", (chunk) => chunks.push(chunk));
  client.pause();
  expect(connection.write(large)).toBe(false);
  client.resume();
  await expect.poll(() => events.at(-1), { timeout: 20_000 }).toBe("drained");
  connection.close();
  await once(client, "close");
  const received = Buffer.concat(chunks);
  expect(received.subarray(received.indexOf("\r\n\r\n") + 4).equals(large)).toBe(true);
  expect(events.filter((event) => event === "progressed").length).toBeGreaterThanOrEqual(2);
});

it("is cut rather than torn while a large write is under way", async () => {
  const { connection, client, events } = await open();
  client.pause();
  connection.write(Buffer.alloc(20 * 1024 * 1024, "x"));
  expect(connection.write(Buffer.from("event: reset\n\n"))).toBe(false);
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
