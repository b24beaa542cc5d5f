import type { DocumentChange } from "@paperdb/protocol";
import type { EventFilter, FrameFormat } from "../../packages/server/src/hub/delivery.ts";
import { documentFilter } from "../../packages/server/src/hub/document-filter.ts";

/** Writes what a filter changes: the type and the document. */
export const CHANGES: FrameFormat = {
  namesChannel: false,
  event: ({ body }, cursor) => {
    if ("topic" in body) throw new Error("no document");
    return Buffer.from(`event ${body.type}:${body.documentId}:${body.document} ${cursor}\n`);
  },
  heartbeat: (cursor) => Buffer.from(`heartbeat ${cursor}\n`),
};

/** Documents are `{"room":"…"}`. */
export function roomOf(document: unknown): string {
  return (document as { room: string }).room;
}

/** The documents in these rooms; by default found by them. */
export function inRooms(rooms: string, hasTerm = true): EventFilter {
  const keys = rooms.split("");
  return documentFilter({
    id: `${rooms}${hasTerm ? "" : " tried"}`,
    terms: hasTerm ? [{ path: ["room"], keys }] : [],
    matches: (document) => keys.includes(roomOf(document)),
  });
}

/** A document that is inserted into a room. */
export function inserted(documentId: string, room: string): DocumentChange {
  return { type: "insert", documentId, document: `{"room":"${room}"}` };
}

/** A document that is moved from a room to another one. */
export function moved(documentId: string, from: string, to: string): DocumentChange {
  return { type: "update", documentId, document: `{"room":"${to}"}`, prior: `{"room":"${from}"}` };
}
