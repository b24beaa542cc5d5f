import type { FrameFormat } from "../../hub/delivery.ts";
import type { BlockCompressor } from "../compression/block-compressor.ts";
import { storedBlocks } from "../compression/stored-blocks.ts";
import { RAW_EVENTS, snapshotHead, V1_EVENTS } from "./event-frames.ts";
import { compressedTextFrame, payloadOf } from "./websocket-frame.ts";

/** How events are written on WebSockets. One instance for all connections that share it. */
export interface EventEncoding {
  /** Without a subprotocol. */
  readonly raw: FrameFormat;
  /** Of `paperdb.v1`. */
  readonly v1: FrameFormat;
  /** See {@link snapshotHead}. @param documents - as {@link v1} made them. */
  snapshotHead(id: string, channel: string, documents: Buffer): Buffer;
}

/** As they are. */
export const PLAIN_EVENTS: EventEncoding = { raw: RAW_EVENTS, v1: V1_EVENTS, snapshotHead };

/** What a flush ends with, which the reader puts back (RFC 7692, section 7.2.1). */
const TAIL_BYTES = 4;
/** A flush without its tail: behind stored blocks, which need no flush. */
const NO_FLUSH = Buffer.alloc(1);

/**
 * For connections with `permessage-deflate`: each event is a message that is compressed once for all. What is not smaller
 * for it is a message that is not compressed, which any of them may be.
 */
export function deflatedEvents(compressor: BlockCompressor): EventEncoding {
  const deflate = (frame: Buffer): Buffer => {
    const blocks = compressor.deflate(payloadOf(frame));
    return blocks === undefined ? frame : compressedTextFrame(withoutTail(blocks));
  };
  const compressed = (format: FrameFormat): FrameFormat => {
    const { snapshots } = format;
    return {
      ...format,
      event: (event, cursor, channel) => deflate(format.event(event, cursor, channel)),
      ...(snapshots && {
        snapshots: {
          ...snapshots,
          documents: (documents) => messageEnd(compressor, snapshots.documents(documents)),
          event: (event, channel) => deflate(snapshots.event(event, channel)),
        },
      }),
    };
  };
  return { raw: compressed(RAW_EVENTS), v1: compressed(V1_EVENTS), snapshotHead: compressedHead };
}

/** The rest of a message of documents. */
function messageEnd(compressor: BlockCompressor, documents: Buffer): Buffer {
  const blocks = compressor.deflate(documents);
  return blocks === undefined ? Buffer.concat([storedBlocks(documents), NO_FLUSH]) : withoutTail(blocks);
}

/** The beginning of the message is each client's own, and not worth compressing. */
function compressedHead(id: string, channel: string, documents: Buffer): Buffer {
  const head = payloadOf(snapshotHead(id, channel, documents));
  return compressedTextFrame(storedBlocks(head), documents.length);
}

function withoutTail(blocks: Buffer): Buffer {
  return blocks.subarray(0, -TAIL_BYTES);
}
