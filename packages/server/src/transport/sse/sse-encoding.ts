import type { FrameFormat } from "../../hub/delivery.ts";
import type { BlockCompressor } from "../compression/block-compressor.ts";
import { storedBlocks } from "../compression/stored-blocks.ts";
import { SSE_FRAMES } from "./sse-frames.ts";

/** How what is written on a connection is encoded. One instance for all connections that share it. */
export interface SseEncoding {
  /** The response's header fields for it. */
  readonly headers: Readonly<Record<string, string>>;
  /** What the body begins with. */
  readonly head: Buffer;
  readonly format: FrameFormat;
  /** Encodes frames that are for one connection. */
  encode(frames: string): Buffer;
}

/** As it is. */
export const PLAIN_SSE: SseEncoding = {
  headers: {},
  head: Buffer.alloc(0),
  format: SSE_FRAMES,
  encode: (frames) => Buffer.from(frames),
};

/** Deflate, no name and no time, of an unknown system (RFC 1952, section 2.3). */
const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);

/**
 * One gzip stream for each connection, of blocks that all of them share.
 *
 * It ends with its connection, without the checksum that a gzip file ends with: that would be another one for each connection.
 */
export function gzipSse(compressor: BlockCompressor): SseEncoding {
  const pack = (bytes: Buffer): Buffer => compressor.deflate(bytes) ?? storedBlocks(bytes);
  const { snapshots } = SSE_FRAMES;
  return {
    headers: { "content-encoding": "gzip" },
    head: GZIP_HEAD,
    format: {
      ...SSE_FRAMES,
      pack,
      heartbeat: (cursor, channel) => storedBlocks(SSE_FRAMES.heartbeat(cursor, channel)),
      snapshots: {
        documents: (documents) => pack(snapshots.documents(documents)),
        event: (event, channel) => pack(snapshots.event(event, channel)),
        quiet: storedBlocks(snapshots.quiet),
      },
    },
    encode: (frames) => storedBlocks(Buffer.from(frames)),
  };
}
