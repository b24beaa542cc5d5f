import type { SourceEvent } from "../source/change-source.ts";
import type { EventDocuments, FilterTerm, Scalar } from "./delivery.ts";
import { valuesAt } from "./document-values.ts";
import { termName } from "./term-name.ts";

/** Of how many paths an event's keys are kept: clients invent paths. */
const MAX_KEPT_PATHS = 8;

type KeysByPath = Map<string, readonly Scalar[]>;

/**
 * What events have at the paths of terms, kept as long as the events. Of all the filters that go
 * through one history, as after an outage, the first one parses it, the others parse what is for them.
 */
export class EventKeys {
  readonly #kept = new WeakMap<SourceEvent, KeysByPath>();

  /** Whether a filter with this term may see the event. */
  fulfil(term: FilterTerm, event: SourceEvent, documentsOf: (event: SourceEvent) => EventDocuments): boolean {
    const name = termName(term);
    const keys = this.#kept.get(event)?.get(name) ?? this.#read(event, name, term, documentsOf);
    return keys.some((key) => term.keys.includes(key));
  }

  #read(
    event: SourceEvent,
    name: string,
    term: FilterTerm,
    documentsOf: (event: SourceEvent) => EventDocuments,
  ): readonly Scalar[] {
    const keys = [...valuesAt(documentsOf(event), term)];
    const kept: KeysByPath = this.#kept.get(event) ?? new Map();
    if (kept.size < MAX_KEPT_PATHS) this.#kept.set(event, kept.set(name, keys));
    return keys;
  }
}
