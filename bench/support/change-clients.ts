import type { ChangeConnection } from "./change-client-worker.ts";
import { getRequest } from "./http-bytes.ts";
import { sseRequest, subscribeFrame, webSocketRequest } from "./our-requests.ts";
import { fetchToken } from "./realtime-token.ts";
import type { ServerProcess } from "./server-process.ts";
import type { BenchTenant } from "./tenant.ts";
import { clientFrame } from "./websocket-bytes.ts";

/** How a client of a tenant subscribes over SSE. */
export function overSse({ anonKey }: BenchTenant, collection: string, tenant: number): ChangeConnection {
  const request = sseRequest({ collection }, { apikey: anonKey });
  return { request, ready: "event: ready\n", tenant };
}

/** And of the peer's. */
export function overPeerSse(tenant: number): ChangeConnection {
  return { request: getRequest(`/t${tenant}`), ready: "event: ready\n", tenant };
}

/** How a client of a tenant subscribes over WebSocket, as the SDK does. */
export async function overWebSocket(
  server: ServerProcess,
  tenant: BenchTenant,
  collection: string,
  index: number,
): Promise<ChangeConnection> {
  const token = await fetchToken(server, tenant, { collections: [collection] });
  const request = webSocketRequest(token);
  const followUp = subscribeFrame({ collection });
  return { request, followUp, keepAlive: PONG, ready: '"type":"ready"', tenant: index };
}

const PONG = clientFrame("pong", "");
