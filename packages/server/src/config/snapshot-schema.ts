import { z } from "zod";
import { bytes, count, MEBIBYTE, milliseconds } from "./ranges.ts";

/** How many snapshots are read at a time, and how much of them is held. */
export const snapshotsSchema = z
  .strictObject({
    batchRows: count(500).describe("Documents read and sent at a time."),
    batchBytes: bytes(262_144).describe("Bytes of documents read and sent at a time, unless one is larger."),
    maxConcurrent: count(4).describe(
      "Snapshots read at a time from each source, of one tenant half of them. Each holds a connection.",
    ),
    maxBufferedBytes: bytes(64 * MEBIBYTE).describe(
      "Bytes read for clients that have not taken them yet, of one tenant half of them; no further snapshot is begun that could exceed it.",
    ),
    maxWaiting: count(10_000).describe(
      "Snapshots of one tenant that wait for their turn; a client that asks for another one is refused.",
    ),
    stallMs: milliseconds(5_000, 100).describe(
      "How long others wait for a client that takes nothing of its snapshot, in ms. It gets another one once it reads again.",
    ),
  })
  .prefault({})
  .describe("Snapshots: the documents that a client asks for before their changes.");
