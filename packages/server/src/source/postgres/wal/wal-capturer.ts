import { RealtimeError } from "@paperdb/protocol";
import type { Catalog } from "../catalog.ts";
import type { Collections } from "../collections.ts";
import type { DatabasePool } from "../database-pool.ts";
import { justChanged } from "../just-changed.ts";
import { isSameHistory } from "../table.ts";
import type { CapturedTable } from "../table.ts";
import type { Barriers } from "./barriers.ts";
import type { Enroller } from "./enroller.ts";
import type { Publication } from "./publication.ts";
import { whyNotEncodable } from "./encodable.ts";
import type { TypeCatalog } from "./type-catalog.ts";
import { fetchColumnTypes } from "./type-query.ts";
import type { WalWatches } from "./wal-watches.ts";

/** What a {@link WalCapturer} works with. */
export interface WalCapturerOptions {
  readonly database: DatabasePool;
  readonly catalog: Catalog;
  readonly publication: Publication;
  readonly enroller: Enroller;
  readonly barriers: Barriers;
  readonly types: TypeCatalog;
  readonly watches: WalWatches;
  /** All changes of the table are in the stream from here on. */
  readonly captured: (table: CapturedTable, enrollment: string) => Promise<void>;
}

/** Sees to it that the changes of a collection are streamed. Calls for one collection share their work. */
export class WalCapturer {
  readonly #options: WalCapturerOptions;
  /** The tables that are known to be streamed, by collection. */
  readonly #captured = new Map<string, CapturedTable>();
  readonly #capturing = new Map<string, Promise<CapturedTable>>();

  constructor(options: WalCapturerOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the stream has passed the place since which all changes of a collection are in it.
   *
   * @throws {RealtimeError} `collection_not_found`, `collection_not_usable`, `source_unavailable`.
   */
  async capture(collection: string): Promise<CapturedTable> {
    const captured = this.#captured.get(collection);
    const current = this.#options.catalog.current.tables.get(collection);
    if (captured !== undefined && current !== undefined && isSameHistory(captured, current)) return captured;
    let capturing = this.#capturing.get(collection);
    if (capturing === undefined) {
      capturing = this.#capture(collection).finally(() => {
        this.#capturing.delete(collection);
      });
      this.#capturing.set(collection, capturing);
    }
    return capturing;
  }

  /** The next {@link capture} looks at it again. */
  forget(collection: string): void {
    this.#captured.delete(collection);
  }

  /** Forgets collections that there are no more. */
  forgetMissing(collections: Collections): void {
    for (const collection of this.#captured.keys()) {
      if (!collections.tables.has(collection)) this.#captured.delete(collection);
    }
  }

  forgetAll(): void {
    this.#captured.clear();
  }

  /** Resolves when no work is going on any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#capturing.values());
  }

  /**
   * Why rows of a table cannot be delivered, as a sentence.
   *
   * @param filtered - hidden columns that filters name.
   */
  async whyNotEncodable(table: CapturedTable, filtered: ReadonlySet<string>): Promise<string | undefined> {
    const { database, types } = this.#options;
    const columns = await fetchColumnTypes(database.pool, table.oid);
    await types.load(columns);
    const { schema, table: name } = table.name;
    return whyNotEncodable({ schema, name, columns }, { ...table, filtered }, types);
  }

  /** What is asked for may be younger than the last reading. */
  async #capture(collection: string): Promise<CapturedTable> {
    const { catalog, publication, enroller, barriers, captured, watches } = this.#options;
    let table = (await catalog.refresh()).tables.get(collection);
    if (table === undefined) {
      throw new RealtimeError("collection_not_found", `There is no collection "${collection}".`);
    }
    const problem = await this.whyNotEncodable(table, watches.filteredColumns(collection));
    if (problem !== undefined) throw new RealtimeError("collection_not_usable", problem);
    let enrollment = (await publication.fetchEnrollment()).get(table.oid);
    if (enrollment === undefined) {
      await enroller.enroll(table);
      table = (await catalog.refresh()).tables.get(collection);
      if (table === undefined) throw justChanged(collection);
      enrollment = (await publication.fetchEnrollment()).get(table.oid);
    } else if (!watches.on(table.oid).some((watched) => watched.enrollment === enrollment)) {
      await enroller.outlastWriters(table);
    }
    if (enrollment === undefined) throw justChanged(collection);
    await barriers.pass();
    await captured(table, enrollment);
    this.#captured.set(collection, table);
    return table;
  }
}
