import type { ChangeConnection } from "./change-client-worker.ts";
import type { ServerProcess } from "./server-process.ts";
import type { BenchTenant } from "./tenant.ts";

/** How a client of a tenant subscribes over SSE. */
export function overSse({ anonKey }: BenchTenant, collection: string, tenant: number): ChangeConnection {
  const request = `GET /v1/events/subscribe?collection=${collection} HTTP/1.1\r\nhost: bench\r\napikey: ${anonKey}\r\n\r\n`;
  return { request, ready: "event: ready\n", tenant };
}

/** And of the peer's. */
export function overPeerSse(tenant: number): ChangeConnection {
  return { request: `GET /t${tenant} HTTP/1.1\r\n\r\n`, ready: "event: ready\n", tenant };
}

/** How a client of a tenant subscribes over WebSocket, as the SDK does. */
export async function overWebSocket(
  server: ServerProcess,
  { secretKey }: BenchTenant,
  collection: string,
  tenant: number,
): Promise<ChangeConnection> {
  const response = await fetch(`${server.url}/realtime/token`, {
    method: "POST",
    headers: { authorization: `Bearer ${secretKey}`, "content-type": "application/json" },
    body: JSON.stringify({ collections: [collection], permissions: ["read"] }),
  });
  const answer: unknown = await response.json();
  if (typeof answer !== "object" || answer === null || !("token" in answer))
    throw new Error("No token came.");
  const request =
    `GET /?token=${String(answer.token)} HTTP/1.1\r\nhost: bench\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
    "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: paperdb.v1\r\n\r\n";
  const followUp = maskedText(JSON.stringify({ type: "subscribe", id: "1", collection }));
  return { request, followUp, keepAlive: PONG, ready: '"type":"ready"', tenant };
}

/** An empty one whose mask is zero. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

/** A short text frame whose mask is zero. */
function maskedText(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}
