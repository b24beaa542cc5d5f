import type { Image } from "./image.ts";

/** A document in a writer's slot. */
export interface SlotDocument {
  readonly key: number;
  readonly image: Image;
}

const SLOTS_PER_LANE = 10_000;
const GENERATIONS = 1_000;

/**
 * What a writer knows of its own documents. No other writer changes them, except by truncating, which is
 * noticed when a document is not there any more.
 */
export class LaneState {
  readonly #lane: number;
  readonly #documents: Map<string, SlotDocument>;
  /** How many keys a slot has had; never taken back, so a key is never that of another document. */
  readonly #generations: Map<string, number>;

  constructor(
    lane: number,
    documents: ReadonlyMap<string, SlotDocument> = new Map(),
    generations = new Map<string, number>(),
  ) {
    this.#lane = lane;
    this.#documents = new Map(documents);
    this.#generations = generations;
  }

  /** A state to try things in. */
  copy(): LaneState {
    return new LaneState(this.#lane, this.#documents, this.#generations);
  }

  get(collection: string, slot: number): SlotDocument | undefined {
    return this.#documents.get(nameOf(collection, slot));
  }

  set(collection: string, slot: number, document: SlotDocument): void {
    this.#documents.set(nameOf(collection, slot), document);
  }

  delete(collection: string, slot: number): void {
    this.#documents.delete(nameOf(collection, slot));
  }

  clear(collection: string): void {
    for (const name of this.#documents.keys()) {
      if (name.startsWith(nameOf(collection, ""))) this.#documents.delete(name);
    }
  }

  /** The key of a new document in a slot, the same as that of the one before. */
  keyOf(collection: string, slot: number): number {
    const generation = this.#generations.get(nameOf(collection, slot)) ?? 0;
    return (this.#lane * SLOTS_PER_LANE + slot) * GENERATIONS + generation;
  }

  /** A key that no document of the slot has had. */
  nextKeyOf(collection: string, slot: number): number {
    const name = nameOf(collection, slot);
    this.#generations.set(name, (this.#generations.get(name) ?? 0) + 1);
    return this.keyOf(collection, slot);
  }
}

function nameOf(collection: string, slot: number | ""): string {
  return `${collection} ${String(slot)}`;
}
