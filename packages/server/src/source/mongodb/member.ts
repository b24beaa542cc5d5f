import type { Position } from "@paperdb/protocol";
import type { ChannelKey } from "../change-source.ts";

/** One tenant in a collection's stream, and its place. */
export class Member {
  readonly key: ChannelKey;
  /** Since when nobody subscribes. */
  leftAtMs: number | undefined;
  #lastPosition: Position;
  #reachedPosition: Position;
  #readableSince: Position;

  /**
   * @param since - nothing up to it is delivered.
   * @param readableSince - see {@link readableSince}.
   */
  constructor(key: ChannelKey, since: Position, readableSince: Position) {
    this.key = key;
    this.#lastPosition = since;
    this.#reachedPosition = since;
    this.#readableSince = readableSince;
  }

  /** Of the newest event that was read; nothing up to it is delivered again. */
  get lastPosition(): Position {
    return this.#lastPosition;
  }

  /** Where clients may have been told that they stand: nothing up to it follows. */
  get reachedPosition(): Position {
    return this.#reachedPosition;
  }

  /** Some events before it were not delivered: reading them again would hide that. */
  get readableSince(): Position {
    return this.#readableSince;
  }

  /** An event was read. */
  moveTo(position: Position): void {
    this.#lastPosition = position;
    this.reach(position);
  }

  /** Events up to there are not delivered. */
  skipTo(position: Position): void {
    this.moveTo(position);
    this.#readableSince = position;
  }

  /** All up to there was delivered. @returns where clients stand. */
  reach(position: Position): Position {
    if (position > this.#reachedPosition) this.#reachedPosition = position;
    return this.#reachedPosition;
  }
}
