import { RealtimeError } from "@paperdb/protocol";
import type { Collections, CollectionsConfig } from "./collections.ts";
import { columnsOfInterest, toCollections } from "./collections.ts";
import type { CollectionInfo } from "../change-source.ts";
import type { DatabasePool } from "./database-pool.ts";

/** The database's collections, as last read. */
export class Catalog {
  readonly #database: Pick<DatabasePool, "fetchCatalog">;
  readonly #config: CollectionsConfig | undefined;
  readonly #columns: readonly string[];
  #current: Collections = { tables: new Map(), unusable: new Map() };
  #infos: readonly CollectionInfo[] = [];
  #revision: string | undefined;
  /** When the current reading began, by the clock of `performance`. */
  #readAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<Collections> | undefined;
  /** Begins when the running one has ended: what is asked for may be younger than that. */
  #waiting: Promise<Collections> | undefined;

  constructor(database: Pick<DatabasePool, "fetchCatalog">, config: CollectionsConfig | undefined) {
    this.#database = database;
    this.#config = config;
    this.#columns = columnsOfInterest(config);
  }

  get current(): Collections {
    return this.#current;
  }

  /** Of the last reading, see `CatalogReading`: whatever else is read now stays the same for as long. */
  get revision(): string | undefined {
    return this.#revision;
  }

  /** The collections of {@link current}, the same array until they are others. */
  get infos(): readonly CollectionInfo[] {
    return this.#infos;
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

  /** What was read after this call. However many call, one reading runs and one waits, which they share. */
  async refresh(): Promise<Collections> {
    if (this.#running === undefined) return this.#begin();
    this.#waiting ??= this.#running.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#waiting;
  }

  /** A reading that began at most `maxAgeMs` ago, for questions that cost the asker nothing. */
  async recent(maxAgeMs: number): Promise<Collections> {
    return performance.now() - this.#readAtMs <= maxAgeMs ? this.#current : this.refresh();
  }

  async #begin(): Promise<Collections> {
    this.#waiting = undefined;
    this.#running = this.#read().finally(() => {
      // Else the one that waits takes its place, and nobody comes in between.
      if (this.#waiting === undefined) this.#running = undefined;
    });
    return this.#running;
  }

  async #read(): Promise<Collections> {
    const beganAtMs = performance.now();
    const { revision, tables } = await this.#database.fetchCatalog(this.#columns, this.#revision);
    if (tables !== undefined) {
      this.#current = toCollections(tables, this.#config);
      this.#infos = [...this.#current.tables.keys()].map((name) => ({ name }));
    }
    this.#revision = revision;
    this.#readAtMs = beganAtMs;
    return this.#current;
  }
}
