import type { FrameFormat, SnapshotFrames } from "../../hub/delivery.ts";
import type { SourceEvent } from "../../source/change-source.ts";
import { snapshotMembers } from "../snapshot-json.ts";

/** A format with all that SSE has. */
interface SseFormat extends FrameFormat {
  heartbeat(cursor: string, channel: string): Buffer;
  readonly snapshots: Required<SnapshotFrames>;
}

/**
 * Server-Sent Events, as the HTML standard has them
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 */
export const SSE_FRAMES: SseFormat = {
  namesChannel: false,
  event: (event, cursor) => Buffer.from(`id: ${cursor}\ndata: ${dataOf(event)}\n\n`),
  // Without data no event is dispatched, but EventSource remembers the id.
  heartbeat: (cursor) => Buffer.from(`id: ${cursor}\n\n`),
  snapshots: {
    documents: (documents) => Buffer.from(`event: snapshot\ndata: {${snapshotMembers(documents)}}\n\n`),
    event: (event) => Buffer.from(`data: ${dataOf(event)}\n\n`),
    // A comment.
    quiet: Buffer.from(":\n\n"),
  },
};

/** The stream is live at `cursor`. */
export function readyFrame(cursor: string, resumed: boolean): string {
  return `event: ready\nid: ${cursor}\ndata: ${JSON.stringify({ cursor, resumed })}\n\n`;
}

/** Is no cursor: EventSource sends it until `ready` has come, also where its URL has one. */
const NO_PLACE = "none";

/** What the client holds is void, and so is its place: it may lose the connection before it has another one. */
export function resetFrame(reason: string): string {
  return `event: reset\nid: ${NO_PLACE}\ndata: ${JSON.stringify({ reason })}\n\n`;
}

/** Tells EventSource how long to wait before it comes back. */
export function retryFrame(delayMs: number): string {
  return `retry: ${delayMs}\n\n`;
}

/** The documents are JSON text on one line already: nothing is parsed or escaped here. */
function dataOf({ body }: SourceEvent): string {
  if ("topic" in body) return `{"topic":"${body.topic}","data":${body.data}}`;
  const documentId = JSON.stringify(body.documentId);
  return `{"type":"${body.type}","documentId":${documentId},"document":${body.document}}`;
}
