import type { Position } from "@paperdb/protocol";
import type { Snapshot } from "../../change-source.ts";
import type { RowsRequest, SnapshotReader } from "../snapshot/snapshot-reader.ts";
import type { Barriers } from "./barriers.ts";
import type { ChangeReceiver } from "./change-receiver.ts";
import type { RecentCommits } from "./recent-commits.ts";
import type { StreamPlace } from "./stream-place.ts";

/** What {@link WalSnapshots} work with. */
export interface WalSnapshotsOptions {
  readonly reader: SnapshotReader;
  readonly place: StreamPlace;
  readonly barriers: Barriers;
  readonly commits: RecentCommits;
  readonly receiver: ChangeReceiver;
}

/** Takes snapshots that meet the stream. */
export class WalSnapshots {
  readonly #options: WalSnapshotsOptions;

  constructor(options: WalSnapshotsOptions) {
    this.#options = options;
  }

  /** Takes a snapshot of a tenant's rows. The channel is watched. */
  async take(request: RowsRequest, signal: AbortSignal): Promise<Snapshot> {
    const { reader, place, commits } = this.#options;
    const { position } = place;
    const firstUnseen = commits.expect();
    const { visibility, batches } = await reader.read(request, signal);
    const unseenLsn = firstUnseen(visibility);
    const unseen = unseenLsn === undefined ? position : place.positionBefore(unseenLsn);
    return {
      since: unseen < position ? unseen : position,
      batches,
      seam: async () => ({
        position: await this.#passBarrier(),
        saw: ({ transaction }) => visibility.saw(transaction),
      }),
    };
  }

  /** @returns the position up to which everything has been appended. */
  async #passBarrier(): Promise<Position> {
    const { reader, barriers, place, receiver } = this.#options;
    await reader.explaining(barriers.pass());
    const { position } = place;
    await receiver.flush();
    return position;
  }
}
