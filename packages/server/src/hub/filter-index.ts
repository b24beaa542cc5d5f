import type { EventDocuments, EventFilter } from "./delivery.ts";
import { valuesAt } from "./document-values.ts";
import { comparisonsOf, PathIndex, type Filtered } from "./path-index.ts";
import { termName } from "./term-name.ts";

/** So many paths to look at are nothing to speak of. */
const FREE_PATHS = 8;

/** The filtered views of one channel, by what their filters ask for, so that an event finds those it may concern. */
export class FilterIndex<V extends Filtered> {
  readonly #byPath = new Map<string, PathIndex<V>>();
  /** Views of filters without a term. */
  readonly #others = new Set<V>();
  readonly #all = new Set<V>();
  #tried = 0;

  get size(): number {
    return this.#all.size;
  }

  get all(): Iterable<V> {
    return this.#all;
  }

  /** What an event may take that no view sees, in comparisons: where each is tried, each path looked at, each crowded key met. */
  get tried(): number {
    return this.#tried + Math.max(0, this.#byPath.size - FREE_PATHS);
  }

  /** How much {@link tried} would grow. */
  addedBy(filter: EventFilter): number {
    const { term } = filter;
    if (term === undefined) return comparisonsOf(filter);
    const index = this.#byPath.get(termName(term));
    if (index !== undefined) return index.addedBy(filter);
    return this.#byPath.size < FREE_PATHS ? 0 : 1;
  }

  add(view: V): void {
    this.#all.add(view);
    const term = view.filter?.term;
    if (term === undefined) {
      this.#others.add(view);
      this.#tried += comparisonsOf(view.filter);
      return;
    }
    const name = termName(term);
    const known = this.#byPath.get(name);
    const index = known ?? new PathIndex<V>(term);
    this.#byPath.set(name, index);
    if (known !== undefined) this.#tried -= known.tried;
    for (const key of term.keys) index.add(key, view);
    this.#tried += index.tried;
  }

  delete(view: V): void {
    this.#all.delete(view);
    const term = view.filter?.term;
    if (term === undefined) {
      if (this.#others.delete(view)) this.#tried -= comparisonsOf(view.filter);
      return;
    }
    const name = termName(term);
    const index = this.#byPath.get(name);
    if (index === undefined) return;
    this.#tried -= index.tried;
    for (const key of term.keys) index.delete(key, view);
    if (index.isEmpty) this.#byPath.delete(name);
    else this.#tried += index.tried;
  }

  forEach(visit: (view: V) => void): void {
    this.#all.forEach(visit);
  }

  /** Visits each view that may see the event, one with several keys perhaps more than once. */
  visitCandidates(documents: EventDocuments, visit: (view: V) => void): void {
    for (const index of this.#byPath.values()) {
      for (const value of valuesAt(documents, index.term)) index.visit(value, visit);
    }
    this.#others.forEach(visit);
  }
}
