/** What can be tuned in a PostgreSQL source in `notify` mode. */
export interface NotifySettings {
  /** How long one attempt to install a trigger may wait for the table, with the application's writes behind it. */
  readonly lockTimeoutMs: number;
  /** How long to go on attempting before `watch` fails. */
  readonly installTimeoutMs: number;
  /** How often the catalog is asked for new, changed and dropped tables. */
  readonly catalogPollIntervalMs: number;
  /** How often the database is asked how full its queue of notifications is. */
  readonly queueCheckIntervalMs: number;
  /** A transaction that changes more than this sends *lost* notices in place of the rest. */
  readonly maxNotifyBytesPerTransaction: number;
  /** A larger document is not delivered; its channel is reset. */
  readonly maxDocumentBytes: number;
  /** Larger documents travel as a row of `paperdb.outbox`, smaller ones inside notifications. */
  readonly inlineOutboxThresholdBytes: number;
  /** Notifications that wait for an outbox row or for the log; beyond it all channels are reset. */
  readonly maxPendingBytes: number;
  /** How long an outbox row is kept after it was first seen committed. */
  readonly outboxRetentionMs: number;
  /** Channels that are LISTENed at the same time. */
  readonly maxListenedChannels: number;
  readonly minReconnectMs: number;
  readonly maxReconnectMs: number;
  readonly connectTimeoutMs: number;
  /** How often a quiet connection is asked whether it is still there. */
  readonly probeIntervalMs: number;
  readonly probeTimeoutMs: number;
}

/** Defaults of {@link NotifySettings}. */
export const NOTIFY_DEFAULTS: NotifySettings = Object.freeze({
  lockTimeoutMs: 150,
  installTimeoutMs: 10_000,
  catalogPollIntervalMs: 500,
  queueCheckIntervalMs: 2_000,
  maxNotifyBytesPerTransaction: 64 * 1024 * 1024,
  maxDocumentBytes: 16 * 1024 * 1024,
  inlineOutboxThresholdBytes: 1024 * 1024,
  maxPendingBytes: 128 * 1024 * 1024,
  outboxRetentionMs: 300_000,
  maxListenedChannels: 100_000,
  minReconnectMs: 100,
  maxReconnectMs: 5_000,
  connectTimeoutMs: 10_000,
  probeIntervalMs: 10_000,
  probeTimeoutMs: 10_000,
});
