import type { FrameFormat } from "../../hub/delivery.ts";
import type { SourceEvent } from "../../source/change-source.ts";

/**
 * Server-Sent Events, as the HTML standard has them
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 */
export const SSE_FRAMES: FrameFormat = {
  event: (event, cursor) => Buffer.from(`id: ${cursor}\ndata: ${dataOf(event)}\n\n`),
  ready: (cursor, resumed) =>
    Buffer.from(`event: ready\nid: ${cursor}\ndata: ${JSON.stringify({ cursor, resumed })}\n\n`),
  reset: (reason) => Buffer.from(`event: reset\ndata: ${JSON.stringify({ reason })}\n\n`),
  // Without data no event is dispatched, but EventSource remembers the id.
  heartbeat: (cursor) => Buffer.from(`id: ${cursor}\n\n`),
};

/** Tells EventSource how long to wait before it comes back. */
export function retryFrame(delayMs: number): Buffer {
  return Buffer.from(`retry: ${delayMs}\n\n`);
}

/** The documents are JSON text on one line already: nothing is parsed or escaped here. */
function dataOf({ body }: SourceEvent): string {
  if ("topic" in body) return `{"topic":"${body.topic}","data":${body.data}}`;
  const documentId = JSON.stringify(body.documentId);
  return `{"type":"${body.type}","documentId":${documentId},"document":${body.document}}`;
}
