import { RealtimeError } from "@paperdb/protocol";
import type { ChangeSource } from "./change-source.ts";

/** Finds the source that a collection belongs to. */
export class SourceDirectory {
  readonly #sources: readonly ChangeSource[];

  constructor(sources: readonly ChangeSource[]) {
    this.#sources = sources;
  }

  /** @throws {RealtimeError} `collection_not_found`, or why the table is no collection. */
  async find(collection: string): Promise<ChangeSource> {
    for (const source of this.#sources) {
      if (has(source, collection)) return source;
    }
    for (const source of this.#sources) {
      const reason = await source.whyNotCollection(collection);
      // The source has looked again: the collection may be new.
      if (has(source, collection)) return source;
      if (reason !== undefined) throw new RealtimeError("collection_not_usable", reason);
    }
    throw new RealtimeError(
      "collection_not_found",
      `There is no collection "${collection}". A table in schema "public" goes by its name, another one as "schema.table".`,
    );
  }

  /** Names that more than one source has. */
  collisions(): readonly string[] {
    const seen = new Set<string>();
    const names = this.#sources.flatMap((source) => source.collections().map(({ name }) => name));
    return names.filter((name) => seen.size === seen.add(name).size);
  }
}

function has(source: ChangeSource, collection: string): boolean {
  return source.collections().some(({ name }) => name === collection);
}
