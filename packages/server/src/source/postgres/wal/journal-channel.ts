import type { Position } from "@paperdb/protocol";
import type { ChannelKey } from "../../change-source.ts";
import type { EventAddress, EventBytes } from "./event-bytes.ts";

/** Compacted when this many forgotten events lead the array. */
const COMPACT_AT = 64;

/** What a {@link Journal} keeps of one channel, oldest first. */
export class JournalChannel {
  readonly key: ChannelKey;
  /** What the journal still holds for it: events, and marks of those that are missing. */
  entries = 0;
  /** Events up to here may be missing. */
  completeSince: Position = "";
  /** After `#gone` that are forgotten. */
  #events: EventAddress[] = [];
  #gone = 0;

  constructor(key: ChannelKey) {
    this.key = key;
  }

  push(event: EventAddress): void {
    this.#events.push(event);
  }

  /** Forgets the oldest event. */
  shift(): void {
    this.#gone += 1;
    if (this.#gone < COMPACT_AT || this.#gone * 2 < this.#events.length) return;
    this.#events = this.#events.slice(this.#gone);
    this.#gone = 0;
  }

  /** The events after `since` up to `until`. */
  between(since: Position, until: Position, bytes: EventBytes): readonly EventAddress[] {
    return this.#events.slice(this.#indexAfter(since, bytes), this.#indexAfter(until, bytes));
  }

  #indexAfter(position: Position, bytes: EventBytes): number {
    let low = this.#gone;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const event = this.#events[middle];
      if (event === undefined || bytes.position(event) <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
