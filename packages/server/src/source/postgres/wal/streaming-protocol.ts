import { PgoutputError } from "./byte-reader.ts";
import type { Lsn } from "./lsn.ts";

/** What a walsender sends, see https://www.postgresql.org/docs/current/protocol-replication.html */
export type StreamMessage =
  | { readonly kind: "data"; readonly payload: Buffer }
  | { readonly kind: "keepalive"; readonly walEnd: Lsn; readonly replyRequested: boolean };

const COPY_DATA = 0x64; // d
const XLOG_DATA = 0x77; // w
const KEEPALIVE = 0x6b; // k
const STATUS_UPDATE = 0x72; // r
const XLOG_DATA_HEADER_BYTES = 25;
const KEEPALIVE_BYTES = 18;
const STATUS_BYTES = 34;
const POSTGRES_EPOCH_MS = 946_684_800_000; // 2000-01-01

/** Ends the stream from our side. */
export const COPY_DONE: Buffer = Buffer.from([0x63, 0, 0, 0, 4]);

/** Reads what one CopyData carries; the payload is a view of it. */
export function readCopyData(chunk: Buffer): StreamMessage {
  if (chunk[0] === XLOG_DATA && chunk.length >= XLOG_DATA_HEADER_BYTES) {
    return { kind: "data", payload: chunk.subarray(XLOG_DATA_HEADER_BYTES) };
  }
  if (chunk[0] === KEEPALIVE && chunk.length >= KEEPALIVE_BYTES) {
    return { kind: "keepalive", walEnd: chunk.readBigUInt64BE(1), replyRequested: chunk[17] === 1 };
  }
  throw new PgoutputError(
    `The replication stream sent a malformed message of ${String(chunk.length)} bytes.`,
  );
}

/**
 * A standby status update, as the bytes that go to the server.
 *
 * @param written - everything before it has come; a server that shuts down waits for no more than that.
 * @param flushed - everything before it may be forgotten. {@link NO_LSN} leaves it as it is, and a server that
 *   waits for its standbys does not count us among them.
 */
export function statusMessage(
  written: Lsn,
  flushed: Lsn,
  replyRequested: boolean,
  nowMs: number = Date.now(),
): Buffer {
  const frame = Buffer.allocUnsafe(5 + STATUS_BYTES);
  frame[0] = COPY_DATA;
  frame.writeUInt32BE(4 + STATUS_BYTES, 1);
  frame[5] = STATUS_UPDATE;
  frame.writeBigUInt64BE(written, 6);
  frame.writeBigUInt64BE(flushed, 14);
  frame.writeBigUInt64BE(flushed, 22);
  frame.writeBigInt64BE(BigInt(Math.round(nowMs - POSTGRES_EPOCH_MS)) * 1_000n, 30);
  frame[38] = replyRequested ? 1 : 0;
  return frame;
}
