import { grantPart, type Position } from "@paperdb/protocol";
import type { ChannelHistory } from "../log/change-log.ts";
import type { Channel } from "./channel.ts";
import type { SnapshotBatch } from "../snapshot/snapshot-reading.ts";
import type { EventDocuments, EventFilter, FrameFormat, SnapshotFrames } from "./delivery.ts";
import type { Round } from "./round.ts";
import { frameKey, seenEvent, type Variant } from "./seen-event.ts";
import { Sightings } from "./sightings.ts";
import { AT_HEAD, type Subscription } from "./subscription.ts";

/** Subscriptions at more places than these at a time seldom share one. */
const MAX_CACHED_SLICES = 64;
/** A filter is asked of so many events at a time; the others are for the next slice. */
const MAX_ASKED_PER_SLICE = 64;

/** What a view is made of. */
export interface ViewOptions {
  readonly channel: Channel;
  readonly name: string;
  readonly format: FrameFormat;
  readonly filter: EventFilter | undefined;
  readonly maxSliceBytes: number;
}

/** Some documents, as one write. */
export interface SnapshotFrame {
  readonly frame: Buffer;
  readonly count: number;
}

/** Some events of a history, as one write. */
export interface Slice {
  /** Undefined when the filter sees none of them. */
  readonly frames: Buffer | undefined;
  /** How many events are in {@link frames}. */
  readonly count: number;
  /** The place after them. */
  readonly nextIndex: number;
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
  readonly subscriptions = new Set<Subscription>();
  readonly #channel: Channel;
  readonly #history: ChannelHistory;
  readonly #maxSliceBytes: number;
  readonly #sightings: Sightings | undefined;
  /** Whether its frames are no other view's. */
  readonly #hasOwnFrames: boolean;
  readonly #grantPart: string;
  /** Whether some of its subscriptions may be {@link AT_HEAD}. */
  #hasWaiting = false;
  #slices: Map<number, Slice> | undefined;
  #slicesHead = -1;
  #snapshotFrames: WeakMap<SnapshotBatch, SnapshotFrame> | undefined;

  constructor({ channel, name, format, filter, maxSliceBytes }: ViewOptions) {
    this.#channel = channel;
    this.#history = channel.history;
    this.name = name;
    this.format = format;
    this.filter = filter;
    this.#hasOwnFrames = format.namesChannel && filter !== undefined;
    this.#grantPart = format.namesChannel ? grantPart(filter?.cursorGrant) : "";
    this.#maxSliceBytes = maxSliceBytes;
    this.#sightings = filter === undefined ? undefined : new Sightings(filter, channel.history);
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
    if (next < this.#history.headIndex) return next;
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
    for (const subscription of this.subscriptions) {
      if (subscription.place === AT_HEAD) subscription.place = place;
      else allWaited = false;
    }
    return allWaited;
  }

  /**
   * What lies between a place and the head, at most one slice of it, at least one event; or,
   * behind a filter, as much as it may be asked of at a time. It is kept until {@link forgetSlices}.
   */
  sliceAt(index: number, round: Round): Slice {
    if (this.subscriptions.size === 1) return this.#cut(index, round);
    if (this.#slicesHead !== this.#history.headIndex) this.forgetSlices();
    let slice = this.#slices?.get(index);
    if (slice === undefined) {
      slice = this.#cut(index, round);
      if (this.#slices === undefined || this.#slices.size >= MAX_CACHED_SLICES) this.#slices = new Map();
      this.#slices.set(index, slice);
      round.keepSlicesOf(this);
    }
    return slice;
  }

  /** Drops the cached slices; the dispatcher does so whenever it has nothing left to do. */
  forgetSlices(): void {
    this.#slices = undefined;
    this.#slicesHead = this.#history.headIndex;
  }

  /** The documents of a batch that are to be seen, and how many they are. Shared by all that get the batch. */
  snapshotFrame(batch: SnapshotBatch, frames: SnapshotFrames): SnapshotFrame {
    let made = this.#snapshotFrames?.get(batch);
    if (made === undefined) {
      const query = this.filter?.documents;
      const documents = query === undefined ? batch : batch.filter((document) => query.matches(document));
      made = { frame: frames.documents(documents), count: documents.length };
      this.#snapshotFrames ??= new WeakMap();
      this.#snapshotFrames.set(batch, made);
    }
    return made;
  }

  /** The event at a place as it is seen within a snapshot: undefined when it is not. */
  snapshotEvent(index: number, round: Round, frames: SnapshotFrames): Buffer | undefined {
    const variant = this.#variantAt(index, round);
    if (variant === undefined) return undefined;
    return frames.event(seenEvent(this.#history.entryAt(index).event, variant), this.name);
  }

  /** The cursor of a subscription that stands at this place. */
  cursorAt(index: number): string {
    return this.#cursorOf(this.#history.positionAt(index));
  }

  /** How many bytes follow the event at a place; of a filtered view only those that it sees, but for one that is far behind. */
  bytesBehind(index: number): number {
    const { endOffset, headIndex } = this.#history;
    if (this.#sightings?.knows(index) !== true) return endOffset - this.#history.entryAt(index).endOffset;
    let bytes = 0;
    for (let next = this.#next(index + 1); next < headIndex; next = this.#next(next + 1)) {
      bytes += this.#history.offsetAt(next + 1) - this.#history.offsetAt(next);
    }
    return bytes;
  }

  #cut(from: number, round: Round): Slice {
    const frames: Buffer[] = [];
    const head = this.#history.headIndex;
    let bytes = 0;
    let asked = 0;
    let index = this.#next(from);
    while (index < head && asked < MAX_ASKED_PER_SLICE) {
      if (this.#sightings?.knows(index) === false) asked += 1;
      const frame = this.#frameAt(index, round);
      if (frame !== undefined) {
        if (bytes > 0 && bytes + frame.length > this.#maxSliceBytes) break;
        frames.push(frame);
        bytes += frame.length;
      }
      index = this.#next(index + 1);
    }
    const joined = frames.length > 1 ? Buffer.concat(frames, bytes) : frames[0];
    const { format } = this;
    const written = joined !== undefined && format.pack !== undefined ? format.pack(joined) : joined;
    return { frames: written, count: frames.length, nextIndex: index };
  }

  /** The next place, at or after this one, that has to be looked at. */
  #next(place: number): number {
    return this.#sightings === undefined ? place : this.#sightings.nextFrom(place);
  }

  #frameAt(index: number, round: Round): Buffer | undefined {
    const variant = this.#variantAt(index, round);
    if (variant === undefined) return undefined;
    // Filters are for clients to invent: their own frames are not kept with the history.
    if (this.#hasOwnFrames) return this.#encode(index, variant);
    const { frames } = this.#history.entryAt(index);
    const key = frameKey(this.format, variant);
    let frame = frames.get(key);
    if (frame === undefined) {
      frame = this.#encode(index, variant);
      frames.set(key, frame);
    }
    return frame;
  }

  #variantAt(index: number, round: Round): Variant | undefined {
    return this.#sightings === undefined ? "as_is" : this.#sightings.at(index, round);
  }

  #encode(index: number, variant: Variant): Buffer {
    const { event } = this.#history.entryAt(index);
    return this.format.event(seenEvent(event, variant), this.#cursorOf(event.position), this.name);
  }

  #cursorOf(position: Position): string {
    return this.#channel.cursorPrefix + this.#grantPart + position;
  }
}
