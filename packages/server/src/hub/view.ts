import type { ChannelHistory } from "../log/change-log.ts";
import type { EventFilter, FrameFormat } from "./delivery.ts";
import type { Subscription } from "./subscription.ts";

/** Subscriptions at more places than these at a time seldom share one. */
const MAX_CACHED_SLICES = 64;

/** Some events of a history, as one write. */
export interface Slice {
  /** Undefined when the filter matches none of them. */
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
  /** The filter's id; empty without a filter. */
  readonly filterId: string;
  /** Those that can be written to; one whose peer does not keep up is not among them. */
  readonly flowing = new Set<Subscription>();
  /** All, flowing or not. */
  readonly subscriptions = new Set<Subscription>();
  readonly #filter: EventFilter | undefined;
  readonly #history: ChannelHistory;
  readonly #cursorPrefix: string;
  readonly #maxSliceBytes: number;
  /** Whether its frames are no other view's. */
  readonly #hasOwnFrames: boolean;
  readonly #slices = new Map<number, Slice>();
  #slicesHead = -1;

  constructor(
    history: ChannelHistory,
    cursorPrefix: string,
    name: string,
    format: FrameFormat,
    filter: EventFilter | undefined,
    maxSliceBytes: number,
  ) {
    this.#history = history;
    this.#cursorPrefix = cursorPrefix;
    this.name = name;
    this.format = format;
    this.filterId = filter?.id ?? "";
    this.#filter = filter;
    this.#hasOwnFrames = format.namesChannel && filter !== undefined;
    this.#maxSliceBytes = maxSliceBytes;
  }

  /**
   * What lies between a place and the head, at most one slice of it, at least one event.
   *
   * @param cached - gets this view when it keeps a slice, which lasts until {@link forgetSlices}.
   */
  sliceAt(index: number, cached: Set<View>): Slice {
    if (this.#slicesHead !== this.#history.headIndex) this.forgetSlices();
    let slice = this.#slices.get(index);
    if (slice === undefined) {
      slice = this.#cut(index);
      if (this.#slices.size >= MAX_CACHED_SLICES) this.#slices.clear();
      this.#slices.set(index, slice);
      cached.add(this);
    }
    return slice;
  }

  /** Drops the cached slices; the dispatcher does so whenever it has nothing left to do. */
  forgetSlices(): void {
    this.#slices.clear();
    this.#slicesHead = this.#history.headIndex;
  }

  /** The cursor of a subscription that stands at this place. */
  cursorAt(index: number): string {
    return this.#cursorPrefix + this.#history.positionAt(index);
  }

  #cut(from: number): Slice {
    const frames: Buffer[] = [];
    const head = this.#history.headIndex;
    let bytes = 0;
    let index = from;
    while (index < head) {
      const frame = this.#frameAt(index);
      if (frame !== undefined) {
        if (bytes > 0 && bytes + frame.length > this.#maxSliceBytes) break;
        frames.push(frame);
        bytes += frame.length;
      }
      index += 1;
    }
    const joined = frames.length > 1 ? Buffer.concat(frames, bytes) : frames[0];
    return { frames: joined, count: frames.length, nextIndex: index };
  }

  #frameAt(index: number): Buffer | undefined {
    const { event, frames } = this.#history.entryAt(index);
    if (this.#filter !== undefined && !this.#filter.matches(event)) return undefined;
    let frame = frames.get(this.format);
    if (frame === undefined || this.#hasOwnFrames) {
      frame = this.format.event(event, this.#cursorPrefix + event.position, this.name);
      // Filters are for clients to invent: their frames are not kept with the history.
      if (!this.#hasOwnFrames) frames.set(this.format, frame);
    }
    return frame;
  }
}
