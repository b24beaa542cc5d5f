import type { Db } from "mongodb";
import {
  fetchCollections,
  toCollections,
  type MongoCollection,
  type MongoCollections,
  type MongoCollectionsConfig,
} from "./collections.ts";

/** What happened to a collection in use. */
export type CatalogChange = "dropped" | "images_disabled" | "images_enabled";

/** Looks in a row that a collection has to be missing: its stream tells the same, after the changes before. */
const MISSING_LOOKS = 2;

/** Knows the collections of a database, as of the last look. */
export class Catalog {
  readonly #db: Db;
  readonly #config: MongoCollectionsConfig | undefined;
  #current: MongoCollections = { usable: new Map(), unusable: new Map() };
  readonly #missing = new Map<string, number>();

  constructor(db: Db, config: MongoCollectionsConfig | undefined) {
    this.#db = db;
    this.#config = config;
  }

  get current(): MongoCollections {
    return this.#current;
  }

  async refresh(): Promise<void> {
    this.#current = toCollections(await fetchCollections(this.#db), this.#config);
  }

  /**
   * What has happened to collections in use, by the looks so far.
   *
   * @param used - as they were when their streams began, and whether these rely on images.
   */
  compare(
    used: Iterable<{ readonly collection: MongoCollection; readonly hasImages: boolean | undefined }>,
  ): readonly { readonly name: string; readonly change: CatalogChange }[] {
    const changes: { name: string; change: CatalogChange }[] = [];
    for (const { collection, hasImages } of used) {
      const { name, uuid } = collection;
      const now = this.#current.usable.get(name);
      if (now?.uuid === uuid && now !== undefined) {
        this.#missing.delete(name);
        const isReliable = uuid !== undefined;
        if (isReliable && hasImages === true && !now.hasImages)
          changes.push({ name, change: "images_disabled" });
        if (hasImages === false && now.hasImages) changes.push({ name, change: "images_enabled" });
        continue;
      }
      const looks = (this.#missing.get(name) ?? 0) + 1;
      this.#missing.set(name, looks);
      if (looks < MISSING_LOOKS) continue;
      this.#missing.delete(name);
      changes.push({ name, change: "dropped" });
    }
    return changes;
  }
}
