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
  /** The places where it sees something, from `#knownFrom` on, ascending, each with what it sees there: see {@link encode}. */
  #seen: number[] = [];
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
    if (alone && this.#seen.length === 1) {
      // In place: new objects for so many filters are dear to the garbage collector.
      this.#seen[0] = encode(place, variant);
      this.#knownFrom = place;
      return;
    }
    if (alone) this.#forgetBefore(place);
    if (this.#seen.length >= MAX_KNOWN) this.#forgetBefore(placeIn(this.#seen[MAX_KNOWN / 2] ?? 0));
    if (this.#seen.length > 0) this.#seen.push(encode(place, variant));
    else this.#seen = [encode(place, variant)];
  }

  /** Whether all that is seen at and after a place is known without asking. */
  knows(place: number): boolean {
    return place >= this.#knownFrom;
  }

  /** The next place, at or after this one, that is seen or not known; the head when there is none. */
  nextFrom(place: number): number {
    if (!this.knows(place)) return place;
    const next = this.#seen[this.#indexFrom(place)];
    return next === undefined ? this.#history.headIndex : placeIn(next);
  }

  /** What is seen at a place. */
  at(place: number, round: Round): Variant | undefined {
    if (!this.knows(place)) {
      const { event } = this.#history.entryAt(place);
      return variantOf(round.sightOf(event, this.#filter));
    }
    const seen = this.#seen[this.#indexFrom(place)];
    return seen !== undefined && placeIn(seen) === place ? variantIn(seen) : undefined;
  }

  #forgetBefore(place: number): void {
    this.#seen = this.#seen.slice(this.#indexFrom(place));
    this.#knownFrom = place;
  }

  /** Of the first known place at or after this one. */
  #indexFrom(place: number): number {
    let low = 0;
    let high = this.#seen.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (placeIn(this.#seen[middle] ?? 0) < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const VARIANTS: readonly Variant[] = ["as_is", "insert", "delete"];

/** One number instead of an object: there are as many as filters. New events have places from zero on. */
function encode(place: number, variant: Variant): number {
  return place * VARIANTS.length + VARIANTS.indexOf(variant);
}

function placeIn(seen: number): number {
  return Math.floor(seen / VARIANTS.length);
}

function variantIn(seen: number): Variant | undefined {
  return VARIANTS[seen % VARIANTS.length];
}

function variantOf(sight: Sight): Variant | undefined {
  return sight === "nothing" ? undefined : sight;
}
