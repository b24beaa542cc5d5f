import type { SourceEvent } from "../source/change-source.ts";
import type { EventDocuments, FilterTerm, Scalar } from "./delivery.ts";
import { valuesAt } from "./document-values.ts";
import { termName } from "./term-name.ts";

/** Measured, with the maps that it is in. */
const BYTES_PER_PATH = 280;
const BYTES_PER_KEY = 24;
const BYTES_PER_CHARACTER = 2;

type KeysByPath = Map<string, readonly Scalar[]>;

/**
 * What events have at the paths of terms, kept as long as the events, within a bound. Of all the filters that go
 * through one history, as after an outage, the first one parses it, the others parse what is for them.
 */
export class EventKeys {
  readonly #maxBytes: number;
  #kept = new WeakMap<SourceEvent, KeysByPath>();
  /** Those of events that are gone included: all is forgotten together. */
  #bytes = 0;

  /** @param maxBytes - what clients can make us keep: they invent paths, and documents may have long texts there. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** About what is kept, at most. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a filter with this term may see the event. */
  fulfil(term: FilterTerm, event: SourceEvent, documentsOf: (event: SourceEvent) => EventDocuments): boolean {
    const name = termName(term);
    let keys = this.#kept.get(event)?.get(name);
    if (keys === undefined) {
      keys = [...valuesAt(documentsOf(event), term)];
      this.#keep(event, name, keys);
    }
    return keys.some((key) => term.keys.includes(key));
  }

  #keep(event: SourceEvent, name: string, keys: readonly Scalar[]): void {
    const bytes = weightOf(name, keys);
    if (bytes > this.#maxBytes) return;
    if (this.#bytes + bytes > this.#maxBytes) {
      this.#kept = new WeakMap();
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    const kept: KeysByPath = this.#kept.get(event) ?? new Map();
    this.#kept.set(event, kept.set(name, keys));
  }
}

function weightOf(name: string, keys: readonly Scalar[]): number {
  let characters = name.length;
  for (const key of keys) if (typeof key === "string") characters += key.length;
  return BYTES_PER_PATH + BYTES_PER_KEY * keys.length + BYTES_PER_CHARACTER * characters;
}
