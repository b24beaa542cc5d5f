import type { Position } from "@paperdb/protocol";
import type { SnapshotDocument, SnapshotSeam } from "../source/change-source.ts";

/** Some of a snapshot's documents. The same object for all that share a snapshot. */
export type SnapshotBatch = readonly SnapshotDocument[];

/** One subscriber's way through a snapshot, which others may share. */
export interface SnapshotReading {
  /** Every event whose effect the snapshot does not have lies after it. */
  readonly since: Position;
  /** Aborted when it is over: a {@link SnapshotTimeoutError}, a {@link SnapshotOverrunError}, a {@link SnapshotGivenUpError} or what the source threw. */
  readonly signal: AbortSignal;
  /** The next batch; undefined after the last. Rejects with the signal's reason. */
  next(): Promise<SnapshotBatch | undefined>;
  /** After the last batch, see `Snapshot.seam`. */
  seam(): Promise<SnapshotSeam>;
  /** It is not needed any more. */
  close(): void;
}

/** The snapshot took too long: it must not be held for ever. */
export class SnapshotTimeoutError extends Error {
  override readonly name = "SnapshotTimeoutError";
}

/** Others waited for what the snapshot held, and nobody took any of it. */
export class SnapshotGivenUpError extends Error {
  override readonly name = "SnapshotGivenUpError";
}

/** The others that share the snapshot did not wait any longer. */
export class SnapshotOverrunError extends Error {
  override readonly name = "SnapshotOverrunError";
}
