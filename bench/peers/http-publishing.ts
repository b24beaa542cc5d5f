import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { PublishProtocol } from "../support/fan-out-server.ts";
import { EVENT_DATA } from "../support/fan-out-event.ts";
import { postRequest } from "../support/http-bytes.ts";
import { listenLocally } from "../support/listening.ts";

/** How all servers of our own writing take an event: `POST /publish`, answered by 202. */
export function httpPublishing(port: number): PublishProtocol {
  return { port, greeting: [], request: postRequest("/publish", EVENT_DATA), answer: "HTTP/1.1 202" };
}

/** Asks a server of our own writing to collect its garbage. */
export async function collectGarbage(port: number): Promise<void> {
  const { status } = await fetch(`http://127.0.0.1:${port}/gc`, { method: "POST" });
  if (status !== 202) throw new Error(`A server answered ${status} when asked to collect its garbage.`);
}

/** The server's side of {@link httpPublishing} on plain Node; other requests go to `subscribe`. */
export function createPublishingServer(
  publish: (data: Buffer) => void,
  subscribe: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = createServer((request, response) => {
    if (request.method !== "POST") return subscribe(request, response);
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("end", () => {
      if (request.url === "/gc") collectTwice();
      else publish(Buffer.concat(chunks));
      response.writeHead(202, { "content-length": 0 }).end();
    });
  });
  // The publisher's connection rests between two runs.
  server.keepAliveTimeout = 0;
  return server;
}

/** What the first collection finalises is garbage for the second. */
function collectTwice(): void {
  globalThis.gc?.();
  globalThis.gc?.();
}

/** Listens on a port of its own and says it on the first line of the output. */
export async function announce(server: Server): Promise<void> {
  process.stdout.write(`${await listenLocally(server)}\n`);
}
