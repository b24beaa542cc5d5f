import { RealtimeError } from "@paperdb/protocol";
import type { ChangeSource } from "./change-source.ts";

/** Finds the source that a collection belongs to. */
export class SourceDirectory {
  readonly #sources: readonly ChangeSource[];

  constructor(sources: readonly ChangeSource[]) {
    this.#sources = sources;
  }

  /**
   * The first source that has it.
   *
   * @throws {RealtimeError} `collection_not_found`, why the table is no collection, or
   *   `source_unavailable` where a source that cannot be asked may have it.
   */
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
    this.#refuseWhileUnknown(collection);
    throw new RealtimeError(
      "collection_not_found",
      `There is no collection "${collection}". A table in schema "public" and a MongoDB collection go by their name, another table as "schema.table".`,
    );
  }

  #refuseWhileUnknown(collection: string): void {
    for (const source of this.#sources) {
      const state = source.state();
      if (state.live) continue;
      throw new RealtimeError(
        "source_unavailable",
        `Whether there is a collection "${collection}" is not known: the source "${source.name}" is not live: ${state.reason}`,
        { retryAfterSeconds: Math.max(1, Math.ceil(state.retryAfterMs / 1000)) },
      );
    }
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
