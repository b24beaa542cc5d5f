/** What can be tuned in a PostgreSQL source in `wal` mode. */
export interface WalSettings {
  /** Whether a slot may keep as much of the log as the disk holds (`max_slot_wal_keep_size = -1`). */
  readonly allowUnboundedSlot: boolean;
  /** A slot that is further behind is told of. */
  readonly maxSlotLagBytes: number;
  /** How often the slot is asked how much it keeps. */
  readonly slotCheckIntervalMs: number;
  /** How long the first attempt to create the slot may wait for open transactions; each further one twice as long. */
  readonly slotTimeoutMs: number;
  /** How long one attempt to set a table up may wait for it, with the application's queries behind it. */
  readonly lockTimeoutMs: number;
  /** How long to go on attempting, and to wait for the stream, before `watch` fails. */
  readonly enrollTimeoutMs: number;
  /** How often the catalog is asked for new, changed and dropped tables. */
  readonly catalogPollIntervalMs: number;
  /** A larger document is not delivered; its channel is reset. */
  readonly maxDocumentBytes: number;
  /** How long events are kept for clients that come back after a restart: the slot stays so far behind. */
  readonly maxHistoryAgeMs: number;
  /** How many bytes of them are kept in memory. */
  readonly maxHistoryBytes: number;
  /** How many bytes of its log the database keeps for them. */
  readonly maxHistoryLogBytes: number;
  /** Channels that are watched at the same time. */
  readonly maxWatchedChannels: number;
  /** Relations that the stream may describe, beyond those that are there, before those of dropped tables are forgotten. */
  readonly maxUnsweptRelations: number;
  /** How long a start waits to be live before it goes on without: the slot may be in use by a server that just ended. */
  readonly openWaitMs: number;
  readonly minReconnectMs: number;
  readonly maxReconnectMs: number;
  readonly connectTimeoutMs: number;
  /** How often a slot that another server uses is asked for again, in the long run. */
  readonly slotRetryMs: number;
  /** How often the server is told what was processed; a quiet one is asked whether it is still there. */
  readonly statusIntervalMs: number;
  /** A stream that is silent for longer, asked or not, is dead. */
  readonly probeTimeoutMs: number;
  /** After so long without a word of ours PostgreSQL ends the stream, and the slot is free. */
  readonly senderTimeoutMs: number;
}

/** Defaults of {@link WalSettings}. */
export const WAL_DEFAULTS: WalSettings = Object.freeze({
  allowUnboundedSlot: false,
  maxSlotLagBytes: 512 * 1024 * 1024,
  slotCheckIntervalMs: 2_000,
  slotTimeoutMs: 10_000,
  lockTimeoutMs: 150,
  enrollTimeoutMs: 10_000,
  catalogPollIntervalMs: 500,
  maxDocumentBytes: 16 * 1024 * 1024,
  maxHistoryAgeMs: 300_000,
  maxHistoryBytes: 64 * 1024 * 1024,
  maxHistoryLogBytes: 128 * 1024 * 1024,
  maxWatchedChannels: 1_000_000,
  maxUnsweptRelations: 1_000,
  openWaitMs: 10_000,
  minReconnectMs: 100,
  maxReconnectMs: 5_000,
  connectTimeoutMs: 10_000,
  slotRetryMs: 1_000,
  statusIntervalMs: 1_000,
  probeTimeoutMs: 15_000,
  senderTimeoutMs: 30_000,
});
