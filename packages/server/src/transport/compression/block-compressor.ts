import { constants, deflateRawSync } from "node:zlib";
import { TimeShare } from "./time-share.ts";

/** When to compress, and how much. */
export interface CompressionSettings {
  /** What is smaller is sent as it is. */
  readonly minBytes: number;
  /** zlib's, 1 to 9. */
  readonly level: number;
  /** The share of the time that may be spent on it. */
  readonly maxTimePercent: number;
}

/** The window of what is compressed here, as a power of two: whoever reads it needs no larger one. */
export const WINDOW_BITS = 13;
/** With this window the allocator has all that zlib asks for at hand; with a larger one each call costs twice as much. */
const MEMORY_LEVEL = 8;
/** Work that cannot be interrupted: larger Buffers would hold up all connections. */
const MAX_BYTES = 1024 * 1024;
const MAX_CHUNK_BYTES = 65_536;
/** More than deflate ever adds to what does not get smaller in one chunk. */
const CHUNK_MARGIN_BYTES = 64;

/**
 * Compresses what goes to many clients, once for all of them.
 *
 * Each call makes deflate blocks (RFC 1951) that refer to nothing before them, none of which is the last one, and that
 * end with a flush: each is readable as soon as it has arrived, wherever in a stream it stands.
 */
export class BlockCompressor {
  readonly #settings: CompressionSettings;
  readonly #time: TimeShare;

  constructor(settings: CompressionSettings, time: TimeShare = new TimeShare(settings.maxTimePercent)) {
    this.#settings = settings;
    this.#time = time;
  }

  /** @returns blocks that end with `00 00 ff ff`; undefined where it does not pay: too little, too much, no time, or not smaller. */
  deflate(bytes: Buffer): Buffer | undefined {
    if (bytes.length < this.#settings.minBytes || bytes.length > MAX_BYTES) return undefined;
    const blocks = this.#time.run(() =>
      deflateRawSync(bytes, {
        level: this.#settings.level,
        windowBits: WINDOW_BITS,
        memLevel: MEMORY_LEVEL,
        finishFlush: constants.Z_SYNC_FLUSH,
        chunkSize: Math.min(bytes.length + CHUNK_MARGIN_BYTES, MAX_CHUNK_BYTES),
      }),
    );
    return blocks !== undefined && blocks.length < bytes.length ? blocks : undefined;
  }
}
