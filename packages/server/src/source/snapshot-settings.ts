/** How sources read snapshots, and how many at a time. */
export interface SnapshotSettings {
  /** Documents in a batch. */
  readonly batchRows: number;
  /** Bytes of a batch, unless one document is larger. */
  readonly batchBytes: number;
  /** Snapshots that are read at a time, of each source: each holds a connection. */
  readonly maxConcurrent: number;
  /** How long a snapshot may be held: it keeps the database from cleaning up. */
  readonly timeoutMs: number;
}

/** Defaults of {@link SnapshotSettings}. */
export const SNAPSHOT_DEFAULTS: SnapshotSettings = Object.freeze({
  batchRows: 500,
  batchBytes: 256 * 1024,
  maxConcurrent: 4,
  timeoutMs: 60_000,
});
