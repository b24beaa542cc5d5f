import type { Acknowledgement } from "./acknowledgement.ts";
import type { ChangeReceiver } from "./change-receiver.ts";
import type { Journal } from "./journal.ts";
import type { RecentCommits } from "./recent-commits.ts";
import type { ReadySlot } from "./slot.ts";
import type { WalStats } from "./stats.ts";
import type { StreamPlace } from "./stream-place.ts";

/** What a {@link StreamHistory} keeps in step with the slot. */
export interface StreamHistoryOptions {
  readonly place: StreamPlace;
  readonly journal: Journal;
  readonly acknowledgement: Acknowledgement;
  readonly commits: RecentCommits;
  readonly receiver: ChangeReceiver;
  readonly stats: WalStats;
}

/** Which history positions are of, and whether what comes next follows what came before. */
export class StreamHistory {
  readonly #options: StreamHistoryOptions;
  #epoch = "0";
  #generation: number | undefined;
  #lostReason: string | undefined;

  constructor(options: StreamHistoryOptions) {
    this.#options = options;
  }

  /** Known once there was a slot. */
  get epoch(): string {
    return this.#epoch;
  }

  /** Why what was received until now is void: all are to be reset once the stream is live. */
  get lostReason(): string | undefined {
    return this.#lostReason;
  }

  /** All were reset. */
  recovered(): void {
    this.#lostReason = undefined;
  }

  /**
   * The stream is about to run from this slot.
   *
   * @returns whether it does not simply go on where it was.
   */
  begin({ generation, systemId, timeline, confirmedLsn, isLost }: ReadySlot): boolean {
    const { place, journal, acknowledgement, commits, receiver, stats } = this.#options;
    place.interrupt();
    const goesOn = generation === this.#generation && confirmedLsn <= place.processedLsn;
    if (generation !== this.#generation) {
      const isAnother = this.#generation !== undefined;
      if (isAnother) this.#lostReason = "slot_lost";
      if (isAnother || isLost) stats.slotsLost += 1;
      this.#generation = generation;
      place.restart(generation);
      acknowledgement.restart();
    } else if (!goesOn) {
      // Another server has had the slot meanwhile, for longer than its history.
      this.#lostReason = "source_reconnected";
    }
    place.advance(confirmedLsn);
    acknowledgement.begin(confirmedLsn);
    if (!goesOn) journal.restart(place.position);
    if (this.#lostReason !== undefined) receiver.interrupt();
    const history = `${systemId}-${String(timeline)}-`;
    if (!this.#epoch.startsWith(history)) commits.clear();
    this.#epoch = `${history}${String(generation)}`;
    return !goesOn;
  }
}
