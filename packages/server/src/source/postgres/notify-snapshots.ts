import type { Position } from "@paperdb/protocol";
import type { Snapshot } from "../change-source.ts";
import type { RowsRequest, SnapshotReader } from "./snapshot/snapshot-reader.ts";

/** What {@link NotifySnapshots} work with. */
export interface NotifySnapshotsOptions {
  readonly reader: SnapshotReader;
  /** Up to which everything that was received has been appended. */
  readonly position: () => Position;
  /** Resolves once all that committed before is received, with the position up to which it has been appended. */
  readonly passBarrier: () => Promise<Position>;
}

/** Takes snapshots that meet the notifications. */
export class NotifySnapshots {
  readonly #options: NotifySnapshotsOptions;

  constructor(options: NotifySnapshotsOptions) {
    this.#options = options;
  }

  /** Takes a snapshot of a tenant's rows. The channel is watched. */
  async take(request: RowsRequest, signal: AbortSignal): Promise<Snapshot> {
    const { reader, position, passBarrier } = this.#options;
    // PostgreSQL notifies of what is visible to all, so the snapshot sees whatever was received before.
    const since = position();
    const { visibility, batches } = await reader.read(request, signal);
    return {
      since,
      batches,
      seam: async () => ({
        position: await reader.explaining(passBarrier()),
        saw: ({ transaction }) => visibility.saw(transaction),
      }),
    };
  }
}
