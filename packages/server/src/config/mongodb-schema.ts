import { z } from "zod";
import { bytes, count, MEBIBYTE, milliseconds } from "./ranges.ts";

/** Settings of sources of kind `mongodb`. */
export const mongoSettingsSchema = z
  .strictObject({
    maxStreams: count(200).describe(
      "Collections in use at a time: each has one change stream and one connection.",
    ),
    maxMatchedTenants: count(20_000).describe(
      "Tenants that a stream asks the database for by name. With more, every change of the collection is read, and sorted out by the server.",
    ),
    joinWindowMs: milliseconds(3, 0).describe(
      "How long tenants that join a collection are gathered before its stream is opened again with them, in ms.",
    ),
    leaveDelayMs: milliseconds(5_000, 0).describe(
      "How long a tenant without subscribers stays in the stream, in ms.",
    ),
    catalogPollIntervalMs: milliseconds(500, 50).describe(
      "Between two looks for new and dropped collections, in ms.",
    ),
    connectTimeoutMs: milliseconds(5_000, 100).describe(
      "How long to look for a server before it counts as unreachable, in ms.",
    ),
    watchTimeoutMs: milliseconds(10_000, 100).describe("How long opening a stream may take, in ms."),
    maxDocumentBytes: bytes(64 * MEBIBYTE).describe(
      "A document whose JSON is longer is not delivered; its channel is reset.",
    ),
    maxFragments: count(16).describe(
      "Parts of up to 16 MB that a large event may come in; beyond them the collection is reset.",
    ),
    replayTimeoutMs: milliseconds(10_000, 100).describe(
      "How long events may be read again for a client that resumes from before its channel was watched, in ms.",
    ),
    maxConcurrentReplays: count(8).describe(
      "Streams by which events are read again, at a time; clients that come back together share one.",
    ),
    maxRememberedDocuments: count(200_000).describe(
      "Documents of one snapshot that are remembered, in about 200 bytes each, where the server cannot read as of one moment. A larger snapshot is followed by all changes since it was begun, also by those that it has.",
    ),
  })
  .prefault({})
  .describe("Sources of kind `mongodb`. What a client may resume from is in `history`.");
