import { RealtimeError } from "@paperdb/protocol";
import type { Collections, CollectionsConfig } from "./collections.ts";
import { columnsOfInterest, toCollections } from "./collections.ts";
import type { SourceDatabase } from "./database.ts";

/** The database's collections, as last read. */
export class Catalog {
  readonly #database: SourceDatabase;
  readonly #config: CollectionsConfig | undefined;
  readonly #columns: readonly string[];
  #current: Collections = { tables: new Map(), unusable: new Map() };
  #reading: Promise<unknown> = Promise.resolve();

  constructor(database: SourceDatabase, config: CollectionsConfig | undefined) {
    this.#database = database;
    this.#config = config;
    this.#columns = columnsOfInterest(config);
  }

  get current(): Collections {
    return this.#current;
  }

  /**
   * Reads for the first time.
   *
   * @throws {RealtimeError} `collection_not_usable`: a configured collection is none.
   */
  async open(): Promise<void> {
    const { unusable } = await this.refresh();
    const [problem] = unusable.values();
    if (this.#config !== undefined && problem !== undefined) {
      throw new RealtimeError("collection_not_usable", problem);
    }
  }

  /** Reads now, and one after the other, so that an older reading never replaces a younger one. */
  async refresh(): Promise<Collections> {
    const reading = this.#reading.then(() => this.#read());
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  async #read(): Promise<Collections> {
    const tables = await this.#database.fetchTables(this.#columns);
    this.#current = toCollections(tables, this.#config);
    return this.#current;
  }
}
