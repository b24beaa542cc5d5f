import type { ChannelHistory } from "../log/change-log.ts";
import type { FrameFormat } from "./delivery.ts";
import { FrameRun } from "./frame-run.ts";
import type { FrameKeeper, Round } from "./round.ts";
import type { Sightings } from "./sightings.ts";
import type { ViewFrames } from "./view-frames.ts";

/** Subscriptions at more places than these at a time seldom share one. */
const MAX_KEPT_SLICES = 64;
/** A filter is asked of so many events at a time; the others are for the next slice. */
const MAX_ASKED_PER_SLICE = 64;

/** Some events of a history, as one write. */
export interface Slice {
  readonly from: number;
  /** Undefined when the filter sees none of them. */
  readonly frames: Buffer | undefined;
  /** How many events are in {@link frames}. */
  readonly count: number;
  /** The place after them. */
  readonly nextIndex: number;
  /** The history's when it was cut: until there is more, nothing can be added. */
  readonly headIndex: number;
}

/** What {@link Slices} are cut from. */
export interface SlicesOptions {
  readonly history: ChannelHistory;
  readonly format: FrameFormat;
  readonly frames: ViewFrames;
  /** Undefined where everything is seen. */
  readonly sightings: Sightings | undefined;
  readonly maxSliceBytes: number;
}

/** The slices of one view's frames, the same Buffer for all that stand at one place. */
export class Slices implements FrameKeeper {
  readonly #history: ChannelHistory;
  readonly #format: FrameFormat;
  readonly #frames: ViewFrames;
  readonly #sightings: Sightings | undefined;
  readonly #maxSliceBytes: number;
  #last: Slice | undefined;
  #kept: Map<number, Slice> | undefined;
  #run: FrameRun | undefined;

  constructor({ history, format, frames, sightings, maxSliceBytes }: SlicesOptions) {
    this.#history = history;
    this.#format = format;
    this.#frames = frames;
    this.#sightings = sightings;
    this.#maxSliceBytes = maxSliceBytes;
  }

  /**
   * What lies between a place and the head, at most one slice of it, at least one event; or,
   * behind a filter, as much as it may be asked of at a time. For one subscription: it is not kept.
   */
  cut(from: number, round: Round): Slice {
    if (this.#sightings === undefined) return this.#sliceOf(this.#runFrom(from, undefined, round), from);
    return this.#cutSeen(from, this.#sightings, round, this.#frames.areShared ? round : undefined);
  }

  /** The same for all that ask, until {@link forget}. */
  at(from: number, round: Round): Slice {
    const last = this.#last;
    if (last?.from === from && this.#isCurrent(last)) return last;
    const kept = this.#kept?.get(from);
    if (kept !== undefined && this.#isCurrent(kept)) {
      this.#last = kept;
      return kept;
    }
    const slice = this.#cutForAll(from, round);
    if (this.#kept === undefined || this.#kept.size >= MAX_KEPT_SLICES) this.#kept = new Map();
    this.#kept.set(from, slice);
    this.#last = slice;
    // Last, since it may make this forget them all.
    round.keepSlicesOf(this, slice.frames?.length ?? 0);
    return slice;
  }

  forget(): void {
    this.#last = undefined;
    this.#kept = undefined;
    this.#run = undefined;
  }

  /** A slice that had no room for more is as good as ever. */
  #isCurrent({ nextIndex, headIndex }: Slice): boolean {
    return nextIndex < headIndex || headIndex === this.#history.headIndex;
  }

  #cutForAll(from: number, round: Round): Slice {
    if (this.#sightings !== undefined) return this.#cutSeen(from, this.#sightings, round, round);
    this.#run = this.#runFrom(from, this.#run, round);
    return this.#sliceOf(this.#run, from);
  }

  /** A run that has all from a place on that goes into a slice. @param known - is continued, where it reaches back. */
  #runFrom(from: number, known: FrameRun | undefined, round: Round): FrameRun {
    const { headIndex, endOffset } = this.#history;
    const isKnown = known !== undefined && from >= known.first && from < known.next;
    // Others may have the same frame of a single event.
    const keeper = from + 1 === headIndex ? round : undefined;
    let run = isKnown ? known : FrameRun.of(from, this.#frames.at(from, "as_is", keeper));
    while (run.next < headIndex) {
      const frame = this.#frames.at(run.next, "as_is");
      const bytes = run.bytesFrom(from) + frame.length;
      if (bytes > this.#maxSliceBytes) break;
      if (run.add(frame)) continue;
      const wanted = Math.max(2 * bytes, endOffset - this.#history.offsetAt(from));
      run = run.movedTo(from, Math.min(wanted, this.#maxSliceBytes));
      run.add(frame);
    }
    return run;
  }

  #sliceOf(run: FrameRun, from: number): Slice {
    const frames = this.#packed(run.from(from));
    return { from, frames, count: run.next - from, nextIndex: run.next, headIndex: this.#history.headIndex };
  }

  #packed(frames: Buffer): Buffer {
    return this.#format.pack === undefined ? frames : this.#format.pack(frames);
  }

  /** @param keeper - of its frames; undefined: they are for nobody else. */
  #cutSeen(from: number, sightings: Sightings, round: Round, keeper: Round | undefined): Slice {
    const { headIndex } = this.#history;
    const frames: Buffer[] = [];
    let bytes = 0;
    let asked = 0;
    let index = sightings.nextFrom(from);
    while (index < headIndex && asked < MAX_ASKED_PER_SLICE) {
      if (!sightings.knows(index)) asked += 1;
      const variant = sightings.at(index, round);
      if (variant !== undefined) {
        const frame = this.#frames.at(index, variant, keeper);
        if (bytes > 0 && bytes + frame.length > this.#maxSliceBytes) break;
        frames.push(frame);
        bytes += frame.length;
      }
      index = sightings.nextFrom(index + 1);
    }
    const joined = frames.length > 1 ? Buffer.concat(frames, bytes) : frames[0];
    const written = joined === undefined ? undefined : this.#packed(joined);
    return { from, frames: written, count: frames.length, nextIndex: index, headIndex };
  }
}
