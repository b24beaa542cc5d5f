/** How much is read for how many at a time. */
export interface SnapshotReadsSettings {
  /** Snapshots that are read at a time, of each source; of one tenant, half of them. */
  readonly maxConcurrent: number;
  /** Read, and not yet taken by all that share it: beyond it no further snapshot is begun. */
  readonly maxBufferedBytes: number;
  /** A snapshot that takes longer to be read or to be taken is given up. */
  readonly timeoutMs: number;
  /** How long one who asks may still share a snapshot that has begun. */
  readonly shareMs: number;
  /** How long the others wait for one that does not take what was read. */
  readonly lagMs: number;
}

/** Defaults of {@link SnapshotReadsSettings}. */
export const SNAPSHOT_READS_DEFAULTS: SnapshotReadsSettings = Object.freeze({
  maxConcurrent: 4,
  maxBufferedBytes: 64 * 1024 * 1024,
  timeoutMs: 60_000,
  shareMs: 1_000,
  lagMs: 1_000,
});
