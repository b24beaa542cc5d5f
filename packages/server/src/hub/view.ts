import type { ChannelHistory } from "../log/change-log.ts";
import type { SnapshotBatch } from "../snapshot/snapshot-reading.ts";
import type { EventDocuments, EventFilter, FrameFormat, SnapshotFrames } from "./delivery.ts";
import { Roster } from "./roster.ts";
import type { Round } from "./round.ts";
import { Sightings } from "./sightings.ts";
import { Slices, type Slice } from "./slices.ts";
import type { Subscription } from "./subscription.ts";
import { ViewFrames, type SnapshotFrame } from "./view-frames.ts";

/**
 * The place of a filtered subscription that has seen all that there is for it: it moves with the head, for free.
 * A small integer, which no history reaches, takes less memory than Infinity.
 */
export const AT_HEAD: number = -(2 ** 30);

/** What a view is made of. */
export interface ViewOptions {
  readonly history: ChannelHistory;
  /** Knows what cursors begin with. */
  readonly channel: { readonly cursorPrefix: string };
  readonly name: string;
  readonly format: FrameFormat;
  readonly filter: EventFilter | undefined;
  readonly maxSliceBytes: number;
}

/**
 * The subscriptions of one channel that see the same frames: the same wire
 * format and the same filter. All that stand at one place share one Buffer.
 */
export class View {
  /** Short, and never used for another channel or filter of this server. */
  readonly name: string;
  readonly format: FrameFormat;
  readonly filter: EventFilter | undefined;
  readonly history: ChannelHistory;
  readonly roster: Roster<Subscription> = new Roster();
  /** Whether its channel's next pass is to go over it. */
  isDue = false;
  readonly #frames: ViewFrames;
  readonly #slices: Slices;
  readonly #sightings: Sightings | undefined;
  /** Whether some of its subscriptions may be {@link AT_HEAD}. */
  #hasWaiting = false;

  constructor(options: ViewOptions) {
    const { history, channel, name, format, filter, maxSliceBytes } = options;
    this.history = history;
    this.name = name;
    this.format = format;
    this.filter = filter;
    this.#sightings = filter === undefined ? undefined : new Sightings(filter, history);
    this.#frames = new ViewFrames({ history, channel, name, format, filter });
    this.#slices = new Slices({
      history,
      format,
      frames: this.#frames,
      sightings: this.#sightings,
      maxSliceBytes,
    });
  }

  /**
   * An event has come that the filter may see.
   *
   * @returns whether it is something new for its subscriptions.
   */
  offer(place: number, documents: EventDocuments): boolean {
    const variant = this.#sightings?.ask(place, documents);
    if (variant === undefined) return false;
    this.#sightings?.remember(place, variant, this.wake(place));
    return true;
  }

  /** Where a subscription stands that has seen what is before this place: as far on as is known. */
  settle(place: number): number {
    if (this.#sightings === undefined) return place;
    const next = this.#sightings.nextFrom(place);
    if (next < this.history.headIndex) return next;
    this.#hasWaiting = true;
    return AT_HEAD;
  }

  /**
   * Those that had seen everything go on from this place.
   *
   * @returns whether these are all.
   */
  wake(place: number): boolean {
    if (!this.#hasWaiting) return false;
    this.#hasWaiting = false;
    let allWaited = true;
    for (const subscription of this.roster.members) {
      if (subscription.place === AT_HEAD) subscription.place = place;
      else allWaited = false;
    }
    return allWaited;
  }

  /** What comes next for a subscription at this place. */
  sliceAt(place: number, round: Round): Slice {
    return this.roster.size === 1 ? this.#slices.cut(place, round) : this.#slices.at(place, round);
  }

  /** The documents of a batch that are to be seen, and how many they are. */
  snapshotFrame(batch: SnapshotBatch, frames: SnapshotFrames): SnapshotFrame {
    return this.#frames.snapshot(batch, frames);
  }

  /** The event at a place as it is seen within a snapshot: undefined when it is not. */
  snapshotEvent(index: number, round: Round, frames: SnapshotFrames): Buffer | undefined {
    const variant = this.#sightings === undefined ? "as_is" : this.#sightings.at(index, round);
    return variant === undefined ? undefined : this.#frames.snapshotEvent(index, variant, frames);
  }

  /** The cursor of a subscription that stands at this place. */
  cursorAt(index: number): string {
    return this.#frames.cursorAt(index);
  }

  /** How many bytes follow the event at a place; of a filtered view only those that it sees, but for one that is far behind. */
  bytesBehind(index: number): number {
    const { endOffset, headIndex } = this.history;
    const sightings = this.#sightings;
    if (sightings?.knows(index) !== true) return endOffset - this.history.entryAt(index).endOffset;
    let bytes = 0;
    let next = sightings.nextFrom(index + 1);
    for (; next < headIndex; next = sightings.nextFrom(next + 1)) {
      bytes += this.history.offsetAt(next + 1) - this.history.offsetAt(next);
    }
    return bytes;
  }
}
