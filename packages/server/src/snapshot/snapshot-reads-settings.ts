/** How much is read for how many at a time. */
export interface SnapshotReadsSettings {
  /** Snapshots that are read at a time, of each source; of one tenant, half of them. */
  readonly maxConcurrent: number;
  /** Snapshots of one tenant that wait for their turn. */
  readonly maxWaiting: number;
  /** Read, and not yet taken by all that share it: no further snapshot is begun that may exceed it, or half of it for one tenant. */
  readonly maxBufferedBytes: number;
  /** A snapshot that takes longer to be read or to be taken is given up. */
  readonly timeoutMs: number;
  /** How long one who asks may still share a snapshot that has begun. */
  readonly shareMs: number;
  /** How long the others that share a snapshot wait for one that does not take what was read. */
  readonly lagMs: number;
  /** How long others wait for their turn while nobody takes what was read of a snapshot. */
  readonly stallMs: number;
}

/** Defaults of {@link SnapshotReadsSettings}. */
export const SNAPSHOT_READS_DEFAULTS: SnapshotReadsSettings = Object.freeze({
  maxConcurrent: 4,
  maxWaiting: 10_000,
  maxBufferedBytes: 64 * 1024 * 1024,
  timeoutMs: 60_000,
  shareMs: 1_000,
  lagMs: 1_000,
  stallMs: 5_000,
});
