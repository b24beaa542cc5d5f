import type { EventFilter, FilterTerm, Scalar } from "./delivery.ts";

/** What is found by its filter: a view. */
export interface Filtered {
  readonly filter: EventFilter | undefined;
}

/** So many comparisons for views that share a key are nothing to speak of. */
const FREE_COMPARISONS = 100;

/** Several views that share a key. */
class SharedKey<V extends Filtered> {
  readonly views = new Set<V>();
  #comparisons = 0;

  /** Comparisons beyond {@link FREE_COMPARISONS}. */
  get tried(): number {
    return Math.max(0, this.#comparisons - FREE_COMPARISONS);
  }

  /** How much {@link tried} would grow. */
  addedBy(filter: EventFilter | undefined): number {
    return Math.max(0, this.#comparisons + comparisonsOf(filter) - FREE_COMPARISONS) - this.tried;
  }

  add(view: V): void {
    if (this.views.has(view)) return;
    this.views.add(view);
    this.#comparisons += comparisonsOf(view.filter);
  }

  delete(view: V): void {
    if (this.views.delete(view)) this.#comparisons -= comparisonsOf(view.filter);
  }
}

/** The views with a term on one path of one kind, by its keys: most keys have one view, and a set for each would weigh more than it. */
export class PathIndex<V extends Filtered> {
  /** One of them. */
  readonly term: FilterTerm;
  readonly #byKey = new Map<Scalar, V | SharedKey<V>>();
  #tried = 0;

  constructor(term: FilterTerm) {
    this.term = term;
  }

  get isEmpty(): boolean {
    return this.#byKey.size === 0;
  }

  /** What an event may take that none of its views sees, in comparisons: to try views that share a key. */
  get tried(): number {
    return this.#tried;
  }

  /** How much {@link tried} would grow. */
  addedBy(filter: EventFilter): number {
    let added = 0;
    for (const key of filter.term?.keys ?? []) {
      const views = this.#byKey.get(key);
      if (views instanceof SharedKey) added += views.addedBy(filter);
    }
    return added;
  }

  add(key: Scalar, view: V): void {
    const views = this.#byKey.get(key);
    if (views === undefined) this.#byKey.set(key, view);
    else if (views instanceof SharedKey) this.#change(views, () => views.add(view));
    else if (views !== view) this.#byKey.set(key, this.#shared(views, view));
  }

  delete(key: Scalar, view: V): void {
    const views = this.#byKey.get(key);
    if (views instanceof SharedKey) this.#change(views, () => views.delete(view));
    if (views === view || (views instanceof SharedKey && views.views.size === 0)) this.#byKey.delete(key);
  }

  visit(key: Scalar, visit: (view: V) => void): void {
    const views = this.#byKey.get(key);
    if (views instanceof SharedKey) views.views.forEach(visit);
    else if (views !== undefined) visit(views);
  }

  #shared(one: V, other: V): SharedKey<V> {
    const views = new SharedKey<V>();
    this.#change(views, () => {
      views.add(one);
      views.add(other);
    });
    return views;
  }

  #change(views: SharedKey<V>, change: () => void): void {
    this.#tried -= views.tried;
    change();
    this.#tried += views.tried;
  }
}

/** What it takes to try a filter on an event. */
export function comparisonsOf(filter: EventFilter | undefined): number {
  return filter?.comparisons ?? 1;
}
