import type { ChannelHistory } from "../log/change-log.ts";
import type { EventDocuments, EventFilter } from "./delivery.ts";
import type { Round } from "./round.ts";
import type { Variant } from "./seen-event.ts";

/** More are seldom waiting; whoever is further behind goes through the history. */
const MAX_KNOWN = 256;

/** What one filter sees of a channel's history. */
export class Sightings {
  readonly #filter: EventFilter;
  readonly #history: ChannelHistory;
  /** The places where it sees something, from `#knownFrom` on, ascending; and what it sees there. */
  #places: number[] = [];
  #variants: Variant[] = [];
  #knownFrom: number;
  #offeredUpTo: number;

  constructor(filter: EventFilter, history: ChannelHistory) {
    this.#filter = filter;
    this.#history = history;
    this.#knownFrom = history.headIndex;
    this.#offeredUpTo = history.headIndex;
  }

  /**
   * An event has come, of which the filter has to be asked. Of those that it is not asked of it sees nothing.
   *
   * @returns whether it is seen, for the first call of a place.
   */
  offer(place: number, documents: EventDocuments): boolean {
    if (place < this.#offeredUpTo) return false;
    this.#offeredUpTo = place + 1;
    const sight = this.#filter.sees(this.#history.entryAt(place).event, documents);
    if (sight === "nothing") return false;
    if (this.#places.length >= MAX_KNOWN) this.forgetBefore(this.#places[MAX_KNOWN / 2] ?? place);
    this.#places.push(place);
    this.#variants.push(sight);
    return true;
  }

  /** Nobody needs what was before this place. */
  forgetBefore(place: number): void {
    if (!this.knows(place)) return;
    const first = this.#indexFrom(place);
    this.#places = this.#places.slice(first);
    this.#variants = this.#variants.slice(first);
    this.#knownFrom = place;
  }

  /** Whether all that is seen at and after a place is known without asking. */
  knows(place: number): boolean {
    return place >= this.#knownFrom;
  }

  /** The next place, at or after this one, that is seen or not known; the head when there is none. */
  nextFrom(place: number): number {
    return this.knows(place) ? (this.#places[this.#indexFrom(place)] ?? this.#history.headIndex) : place;
  }

  /** What is seen at a place. */
  at(place: number, round: Round): Variant | undefined {
    if (!this.knows(place)) {
      const { event } = this.#history.entryAt(place);
      const sight = this.#filter.sees(event, round.documentsOf(event));
      return sight === "nothing" ? undefined : sight;
    }
    const index = this.#indexFrom(place);
    return this.#places[index] === place ? this.#variants[index] : undefined;
  }

  /** Of the first known place at or after this one. */
  #indexFrom(place: number): number {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] ?? 0) < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
