import type { ChangeType, WebSocketChangeType } from "@paperdb/protocol";
import type { FrameFormat } from "../../hub/delivery.ts";
import type { SourceEvent } from "../../source/change-source.ts";
import { snapshotMembers } from "../snapshot-json.ts";
import { serverFrame } from "./server-frames.ts";
import { textFrame } from "./websocket-frame.ts";

// Documents and data are JSON text already: nothing of them is parsed or escaped here.

/** Events of raw connections: `{"type","collection","data"}`. */
export const RAW_EVENTS: FrameFormat = {
  namesChannel: false,
  event: ({ body, channel }) => {
    if ("topic" in body) throw new Error("raw connections have no topics");
    const collection = JSON.stringify(channel.collection);
    return textFrame(
      `{"type":"${clientType(body.type)}","collection":${collection},"data":${body.document}}`,
    );
  },
};

/** Events and heartbeats of subprotocol `paperdb.v1`, which name their channel. */
export const V1_EVENTS: FrameFormat = {
  namesChannel: true,
  event: (event, cursor, channel) =>
    textFrame(`{"type":"event","channel":"${channel}","cursor":"${cursor}","event":${eventJson(event)}}`),
  heartbeat: (cursor, channel) => serverFrame({ type: "heartbeat", cursors: { [channel]: cursor } }),
  snapshots: {
    documents: (documents) => Buffer.from(`${snapshotMembers(documents)}}`),
    event: (event, channel) =>
      textFrame(`{"type":"event","channel":"${channel}","event":${eventJson(event)}}`),
  },
};

/**
 * What a subscription's own frame of documents begins with. The rest is the same Buffer for all that get them.
 *
 * @param documents - as `V1_EVENTS.snapshots` made them, to be written right behind it.
 */
export function snapshotHead(id: string, channel: string, documents: Buffer): Buffer {
  const head = JSON.stringify({ type: "snapshot", id, channel });
  return textFrame(`${head.slice(0, -1)},`, documents.length);
}

function eventJson({ body, channel }: SourceEvent): string {
  if ("topic" in body) return `{"topic":"${body.topic}","data":${body.data}}`;
  const collection = JSON.stringify(channel.collection);
  const documentId = JSON.stringify(body.documentId);
  return `{"type":"${clientType(body.type)}","collection":${collection},"documentId":${documentId},"data":${body.document}}`;
}

function clientType(type: ChangeType): WebSocketChangeType {
  return type === "replace" ? "update" : type;
}
