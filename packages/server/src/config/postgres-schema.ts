import { z } from "zod";
import { bytes, count, MEBIBYTE, milliseconds } from "./ranges.ts";

/** Settings of sources of kind `postgres` in mode `notify`. */
export const notifySettingsSchema = z
  .strictObject({
    lockTimeoutMs: milliseconds(150).describe(
      "The longest wait for a table's lock when installing triggers, in ms.",
    ),
    installTimeoutMs: milliseconds(10_000).describe("How long installing triggers is retried, in ms."),
    catalogPollIntervalMs: milliseconds(500, 50).describe(
      "Between two looks for new and changed tables, in ms.",
    ),
    maxNotifyBytesPerTransaction: bytes(64 * MEBIBYTE).describe(
      "A transaction whose changes take more resets its subscribers instead.",
    ),
    maxDocumentBytes: bytes(16 * MEBIBYTE).describe(
      "A larger document is not delivered; its channel is reset, in bytes of JSON.",
    ),
    maxListenedChannels: count(100_000).describe("Channels listened to at a time."),
    maxPendingBytes: bytes(128 * MEBIBYTE).describe(
      "Changes that wait in the server for a large one before them.",
    ),
    outboxRetentionMs: milliseconds(300_000, 1000).describe(
      "How long rows too large for a notification stay in `paperdb.outbox`, in ms.",
    ),
  })
  .prefault({})
  .describe("Sources of mode `notify`.");

/** Settings of sources of kind `postgres` in mode `wal`. */
export const walSettingsSchema = z
  .strictObject({
    allowUnboundedSlot: z
      .boolean()
      .default(false)
      .describe(
        "Whether to use a database whose slots may fill its disk while the server is away (`max_slot_wal_keep_size = -1`).",
      ),
    maxSlotLagBytes: bytes(512 * MEBIBYTE).describe(
      "A slot that is further behind is told of, in `/readyz`, by `doctor` and in the log.",
    ),
    slotCheckIntervalMs: milliseconds(2_000, 50).describe(
      "Between two looks at how much of the database's log the slot keeps, in ms.",
    ),
    slotTimeoutMs: milliseconds(10_000, 100).describe(
      "How long the first attempt to make the slot waits for open transactions, in ms; each further one twice as long.",
    ),
    lockTimeoutMs: milliseconds(150).describe(
      "The longest wait for a table's lock when publishing it, in ms.",
    ),
    enrollTimeoutMs: milliseconds(10_000).describe("How long publishing a table is retried, in ms."),
    catalogPollIntervalMs: milliseconds(500, 50).describe(
      "Between two looks for new and changed tables, in ms.",
    ),
    maxDocumentBytes: bytes(16 * MEBIBYTE).describe(
      "A larger document is not delivered; its channel is reset, in bytes of JSON.",
    ),
    maxHistoryBytes: z
      .int()
      .min(1)
      .optional()
      .describe(
        "Bytes kept in memory for clients that come back after a restart, of all channels, watched or not; `history.maxBytesTotal` unless set.",
      ),
    maxHistoryLogBytes: bytes(128 * MEBIBYTE).describe(
      "How much of its log the database keeps for them, `history.maxAgeMs` long: a quarter of `max_slot_wal_keep_size` and half of `maxSlotLagBytes` at most.",
    ),
    maxWatchedChannels: count(1_000_000).describe("Channels watched at a time."),
    maxUnsweptRelations: count(1_000).describe(
      "Tables and partitions that the stream may describe, beyond those that were there at the last look, before the database is asked which of them were dropped, and those are forgotten.",
    ),
  })
  .prefault({})
  .describe("Sources of mode `wal`. How long events are kept is in `history`.");
