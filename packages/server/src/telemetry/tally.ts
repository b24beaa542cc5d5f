import type { Counter } from "prom-client";

/** Events of each source and collection: counted here on the hot path, and moved to a counter at each scrape. */
export class Tally {
  readonly #counts = new Map<string, Map<string, number>>();

  add(source: string, collection: string, count: number): void {
    let byCollection = this.#counts.get(source);
    if (byCollection === undefined) {
      byCollection = new Map();
      this.#counts.set(source, byCollection);
    }
    byCollection.set(collection, (byCollection.get(collection) ?? 0) + count);
  }

  /** @param labelOf - what a collection is called there. */
  moveTo(counter: Counter<"source" | "collection">, labelOf: (collection: string) => string): void {
    for (const [source, byCollection] of this.#counts) {
      for (const [collection, count] of byCollection) {
        counter.inc({ source, collection: labelOf(collection) }, count);
      }
    }
    this.#counts.clear();
  }
}
