/** What can be tuned in a MongoDB source. */
export interface MongoSettings {
  /** Collections in use at the same time: each has one change stream. */
  readonly maxStreams: number;
  /** Tenants in a stream's `$match`; beyond them it has every change of the collection. */
  readonly maxMatchedTenants: number;
  /** How long tenants that join are gathered before the stream is opened again with all of them. */
  readonly joinWindowMs: number;
  /** How long a tenant that left stays in the stream's `$match`. */
  readonly leaveDelayMs: number;
  /** How long the server holds a request for more events when there is none. */
  readonly maxAwaitTimeMs: number;
  /** How long a write may take between its time and its event, of a server whose resume tokens do not tell a time. */
  readonly clockSettleMs: number;
  /** How long opening a stream may take, and enabling images before it. */
  readonly watchTimeoutMs: number;
  /** How long one attempt to enable images may wait for the collection, with the application's writes behind it. */
  readonly imagesLockTimeoutMs: number;
  /** How long to look for a server before it counts as unreachable. */
  readonly connectTimeoutMs: number;
  /** How often the database is asked for new, changed and dropped collections. */
  readonly catalogPollIntervalMs: number;
  readonly minRetryMs: number;
  readonly maxRetryMs: number;
  /** A document whose JSON is longer is not delivered; its channel is reset. */
  readonly maxDocumentBytes: number;
  /** A split event may have so many fragments, each of up to 16 MB; beyond it the collection is reset. */
  readonly maxFragments: number;
  /** Events re-read for a client that resumes from before its channel was watched. */
  readonly maxReplayEvents: number;
  /** Bytes of JSON re-read by a stream for such clients. */
  readonly maxReplayBytes: number;
  /** How far back such a client may go. */
  readonly maxReplayAgeMs: number;
  readonly replayTimeoutMs: number;
  /** Streams by which events are re-read at a time; those who come together share one. */
  readonly maxConcurrentReplays: number;
  /** Documents of a snapshot that are remembered where the server does not read as of one moment. */
  readonly maxRememberedDocuments: number;
}

/** Defaults of {@link MongoSettings}. */
export const MONGO_DEFAULTS: MongoSettings = Object.freeze({
  maxStreams: 200,
  maxMatchedTenants: 20_000,
  joinWindowMs: 3,
  leaveDelayMs: 5_000,
  maxAwaitTimeMs: 1_000,
  clockSettleMs: 5_000,
  watchTimeoutMs: 10_000,
  imagesLockTimeoutMs: 150,
  connectTimeoutMs: 5_000,
  catalogPollIntervalMs: 500,
  minRetryMs: 100,
  maxRetryMs: 5_000,
  maxDocumentBytes: 64 * 1024 * 1024,
  maxFragments: 16,
  maxReplayEvents: 50_000,
  maxReplayBytes: 64 * 1024 * 1024,
  maxReplayAgeMs: 300_000,
  replayTimeoutMs: 10_000,
  maxConcurrentReplays: 8,
  maxRememberedDocuments: 200_000,
});
