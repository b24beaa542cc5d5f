import type { EventDocuments, FilterTerm, Scalar } from "./delivery.ts";
import { valuesAt } from "./document-values.ts";
import { termName } from "./term-name.ts";
import type { View } from "./view.ts";

/** The views with a term on one path of one kind, by its keys: most keys have one view, and a set for each would weigh more than it. */
class PathIndex {
  /** One of them. */
  readonly term: FilterTerm;
  readonly #byKey = new Map<Scalar, View | Set<View>>();

  constructor(term: FilterTerm) {
    this.term = term;
  }

  get isEmpty(): boolean {
    return this.#byKey.size === 0;
  }

  add(key: Scalar, view: View): void {
    const views = this.#byKey.get(key);
    if (views === undefined) this.#byKey.set(key, view);
    else if (views instanceof Set) views.add(view);
    else if (views !== view) this.#byKey.set(key, new Set([views, view]));
  }

  delete(key: Scalar, view: View): void {
    const views = this.#byKey.get(key);
    if (views instanceof Set) views.delete(view);
    if (views === view || (views instanceof Set && views.size === 0)) this.#byKey.delete(key);
  }

  visit(key: Scalar, visit: (view: View) => void): void {
    const views = this.#byKey.get(key);
    if (views instanceof Set) views.forEach(visit);
    else if (views !== undefined) visit(views);
  }
}

/** The filtered views of one channel, by what their filters ask for, so that an event finds those it may concern. */
export class FilterIndex {
  readonly #byPath = new Map<string, PathIndex>();
  /** Views of filters without a term. */
  readonly #others = new Set<View>();
  readonly #all = new Set<View>();

  get size(): number {
    return this.#all.size;
  }

  add(view: View): void {
    this.#all.add(view);
    const term = view.filter?.term;
    if (term === undefined) {
      this.#others.add(view);
      return;
    }
    const name = termName(term);
    const index = this.#byPath.get(name) ?? new PathIndex(term);
    this.#byPath.set(name, index);
    for (const key of term.keys) index.add(key, view);
  }

  delete(view: View): void {
    this.#all.delete(view);
    this.#others.delete(view);
    const term = view.filter?.term;
    if (term === undefined) return;
    const name = termName(term);
    const index = this.#byPath.get(name);
    for (const key of term.keys) index?.delete(key, view);
    if (index?.isEmpty === true) this.#byPath.delete(name);
  }

  forEach(visit: (view: View) => void): void {
    this.#all.forEach(visit);
  }

  /** Visits each view that may see the event, one with several keys perhaps more than once. */
  visitCandidates(documents: EventDocuments, visit: (view: View) => void): void {
    for (const index of this.#byPath.values()) {
      for (const value of valuesAt(documents, index.term)) index.visit(value, visit);
    }
    this.#others.forEach(visit);
  }
}
