import type { Position } from "@paperdb/protocol";
import type { SourceEvent } from "../../change-source.ts";

/** Compacted when this many forgotten events lead the array. */
const COMPACT_AT = 64;

/** What a {@link Journal} keeps of one channel, oldest first. */
export class JournalChannel {
  readonly collection: string;
  readonly tenant: string;
  /** What the journal still holds for it: events, and marks of those that are missing. */
  entries = 0;
  /** Events up to here may be missing. */
  completeSince: Position = "";
  /** After `#gone` that are forgotten. */
  #events: (SourceEvent | undefined)[] = [];
  #gone = 0;

  constructor(collection: string, tenant: string) {
    this.collection = collection;
    this.tenant = tenant;
  }

  push(event: SourceEvent): void {
    this.#events.push(event);
  }

  /** Forgets the oldest event. */
  shift(): void {
    this.#events[this.#gone] = undefined;
    this.#gone += 1;
    if (this.#gone < COMPACT_AT || this.#gone * 2 < this.#events.length) return;
    this.#events = this.#events.slice(this.#gone);
    this.#gone = 0;
  }

  /** The events after `since` up to `until`. */
  between(since: Position, until: Position): readonly SourceEvent[] {
    const events = this.#events.slice(this.#indexAfter(since), this.#indexAfter(until));
    return events.filter((event) => event !== undefined);
  }

  #indexAfter(position: Position): number {
    let low = this.#gone;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const event = this.#events[middle];
      if (event === undefined || event.position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
