import type { Listener } from "./listener.ts";
import { isAfter } from "./place.ts";

/** The listeners of one subscription. */
export class Listeners {
  readonly #all = new Set<Listener>();

  get size(): number {
    return this.#all.size;
  }

  /** Where the first of those is that take events. */
  get firstPlace(): string | undefined {
    let first: string | undefined;
    for (const { hasPlace, place } of this.#all) {
      if (hasPlace && (first === undefined || isAfter(first, place))) first = place;
    }
    return first;
  }

  add(listener: Listener): void {
    this.#all.add(listener);
  }

  delete(listener: Listener): void {
    this.#all.delete(listener);
  }

  /** Whether this is so for one of them. */
  some(trait: "isHere" | "wantsDocuments" | "lacksDocuments" | "keepsDocuments"): boolean {
    return [...this.#all].some((listener) => listener[trait]);
  }

  /** Those that come meanwhile are left out, and those that go. */
  forEach(visit: (listener: Listener) => void): void {
    for (const listener of Array.from(this.#all)) if (!listener.isOver) visit(listener);
  }
}
