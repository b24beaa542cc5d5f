import { getRequest, postRequest, type RequestHeaders } from "./http-bytes.ts";
import { clientFrame, upgradeRequest } from "./websocket-bytes.ts";

/** The request by which a client of our server subscribes over SSE. */
export function sseRequest(query: Readonly<Record<string, string>>, headers: RequestHeaders): Buffer {
  const path = `/v1/events/subscribe?${new URLSearchParams(query).toString()}`;
  return getRequest(path, { accept: "text/event-stream", ...headers });
}

/** The request for a WebSocket of `paperdb.v1`. */
export function webSocketRequest(token: string): Buffer {
  return upgradeRequest(`/?token=${token}`, { protocol: "paperdb.v1" });
}

/** What a client says on a WebSocket of `paperdb.v1`, by an id of its own. */
export function subscribeFrame(
  subscription: ({ readonly collection: string } | { readonly topic: string }) & { readonly cursor?: string },
  id = "1",
): Buffer {
  return clientFrame("text", JSON.stringify({ type: "subscribe", id, ...subscription }));
}

/** The request that publishes this, which is JSON. */
export function publishRequest(secretKey: string, topic: string, data: string): Buffer {
  return postRequest("/v1/events/publish", `{"topic":"${topic}","data":${data}}`, { apikey: secretKey });
}
