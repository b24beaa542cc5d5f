import type { ChannelHistory } from "../log/change-log.ts";
import type { EventDocuments, EventFilter, Sight } from "./delivery.ts";
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
  #askedUpTo: number;

  constructor(filter: EventFilter, history: ChannelHistory) {
    this.#filter = filter;
    this.#history = history;
    this.#knownFrom = history.headIndex;
    this.#askedUpTo = history.headIndex;
  }

  /** How an event that has come is seen: undefined when it is not, or was asked for before. */
  ask(place: number, documents: EventDocuments): Variant | undefined {
    if (place < this.#askedUpTo) return undefined;
    this.#askedUpTo = place + 1;
    return variantOf(this.#filter.sees(this.#history.entryAt(place).event, documents));
  }

  /**
   * Remembers that the event at a place, the newest one, is seen. Of those that are not
   * remembered between two places nothing is seen.
   *
   * @param alone - whether nobody needs what is before it.
   */
  remember(place: number, variant: Variant, alone: boolean): void {
    if (alone) {
      this.#knownFrom = place;
      if (this.#places.length > 1) this.#forgetBefore(place);
      // In place: new objects in so many old ones are dear to the garbage collector.
      this.#places[0] = place;
      this.#variants[0] = variant;
      return;
    }
    if (this.#places.length >= MAX_KNOWN) this.#forgetBefore(this.#places[MAX_KNOWN / 2] ?? place);
    this.#places.push(place);
    this.#variants.push(variant);
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
      return variantOf(this.#filter.sees(event, round.documentsOf(event)));
    }
    const index = this.#indexFrom(place);
    return this.#places[index] === place ? this.#variants[index] : undefined;
  }

  #forgetBefore(place: number): void {
    const first = this.#indexFrom(place);
    this.#places = this.#places.slice(first);
    this.#variants = this.#variants.slice(first);
    this.#knownFrom = place;
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

function variantOf(sight: Sight): Variant | undefined {
  return sight === "nothing" ? undefined : sight;
}
