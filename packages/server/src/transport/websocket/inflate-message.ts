import { constants, inflateRawSync } from "node:zlib";
import { FrameError, VIOLATIONS } from "./frame-head.ts";

/** What a client's flush ended with, and it has left out (RFC 7692, section 7.2.2). */
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const CHUNK_BYTES = 4096;

/**
 * Makes a client's compressed message readable. Nothing is kept between two messages: a client that has agreed to
 * `client_no_context_takeover` refers to none before.
 *
 * @param maxBytes - of the message as it is read.
 * @throws {FrameError} where it is longer, or no message at all.
 */
export function inflateMessage(payload: Buffer, maxBytes: number): Buffer {
  try {
    return inflateRawSync(Buffer.concat([payload, TAIL]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      chunkSize: CHUNK_BYTES,
      maxOutputLength: maxBytes,
    });
  } catch (error) {
    // What it was is of no use to anybody but the client's author, who is told by the code.
    const isTooLong = error instanceof RangeError;
    throw new FrameError(isTooLong ? VIOLATIONS.messageTooBig : VIOLATIONS.invalidData);
  }
}
