import type { EventDocuments, Scalar } from "./delivery.ts";
import { valuesAt } from "./document-values.ts";
import type { View } from "./view.ts";

/** The views with a term on one path. */
interface PathIndex {
  readonly path: readonly string[];
  readonly byValue: Map<Scalar, Set<View>>;
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
    let index = this.#byPath.get(term.path);
    if (index === undefined) {
      index = { path: term.path.split("."), byValue: new Map() };
      this.#byPath.set(term.path, index);
    }
    for (const value of term.values) {
      const views = index.byValue.get(value);
      if (views === undefined) index.byValue.set(value, new Set([view]));
      else views.add(view);
    }
  }

  delete(view: View): void {
    this.#all.delete(view);
    const term = view.filter?.term;
    if (term === undefined) {
      this.#others.delete(view);
      return;
    }
    const index = this.#byPath.get(term.path);
    for (const value of term.values) {
      const views = index?.byValue.get(value);
      views?.delete(view);
      if (views?.size === 0) index?.byValue.delete(value);
    }
    if (index?.byValue.size === 0) this.#byPath.delete(term.path);
  }

  forEach(visit: (view: View) => void): void {
    this.#all.forEach(visit);
  }

  /** Visits each view that may see the event, one with several values perhaps more than once. */
  visitCandidates(documents: EventDocuments, visit: (view: View) => void): void {
    for (const { path, byValue } of this.#byPath.values()) {
      for (const value of valuesAt(documents, path)) byValue.get(value)?.forEach(visit);
    }
    this.#others.forEach(visit);
  }
}
