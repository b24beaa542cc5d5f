import { RealtimeError } from "@paperdb/protocol";
import type { Pool } from "pg";
import { quoteQualifiedName } from "../../postgres/identifier.ts";
import type { CapturedTable } from "./table.ts";

/**
 * The columns that filters of grants name. To a row without the column, "not equal" would be true of everything, so a
 * table has to have it; and it may lose it later.
 */
export class GrantedColumns {
  readonly #database: { readonly pool: Pick<Pool, "query"> };
  /** Those that were found, by the table's oid: no more than tables have. */
  readonly #found = new Map<number, Set<string>>();
  /** Those that are being looked for: after a restart, thousands of clients ask at once. */
  readonly #lookingFor = new Map<string, Promise<void>>();

  constructor(database: { readonly pool: Pick<Pool, "query"> }) {
    this.#database = database;
  }

  /** @throws {RealtimeError} `forbidden`, when the table does not have one of the columns. */
  async require(table: CapturedTable, columns: Iterable<string>): Promise<void> {
    const { oid } = table;
    const unknown = [...columns].filter((column) => !this.#has(oid, column));
    if (unknown.length === 0) return;
    const sought = JSON.stringify([oid, unknown]);
    let looking = this.#lookingFor.get(sought);
    if (looking === undefined) {
      looking = this.#look(oid, unknown).finally(() => this.#lookingFor.delete(sought));
      this.#lookingFor.set(sought, looking);
    }
    await looking;
    const missing = unknown.find((column) => !this.#has(oid, column));
    if (missing !== undefined) throw missingColumn(table, missing);
  }

  /** Looks again. @returns the tables, by oid, that have lost columns that filters name. */
  async fetchChanged(): Promise<ReadonlySet<number>> {
    const named = [...this.#found].flatMap(([oid, columns]) =>
      [...columns].map((column): TableColumn => [oid, column]),
    );
    if (named.length === 0) return NONE;
    const existing = new Set((await this.#fetchExisting(named)).map(idOf));
    const gone = named.filter((column) => !existing.has(idOf(column)));
    for (const [oid, column] of gone) {
      const found = this.#found.get(oid);
      found?.delete(column);
      if (found?.size === 0) this.#found.delete(oid);
    }
    return new Set(gone.map(([oid]) => oid));
  }

  #has(oid: number, column: string): boolean {
    return this.#found.get(oid)?.has(column) === true;
  }

  async #look(oid: number, columns: readonly string[]): Promise<void> {
    const existing = await this.#fetchExisting(columns.map((column) => [oid, column]));
    if (existing.length === 0) return;
    const found = this.#found.get(oid) ?? new Set();
    for (const [, column] of existing) found.add(column);
    this.#found.set(oid, found);
  }

  async #fetchExisting(columns: readonly TableColumn[]): Promise<readonly TableColumn[]> {
    const result = await this.#database.pool.query<{ oid: number; name: string }>(
      `select a.attrelid::pg_catalog.int8::pg_catalog.float8 as oid, a.attname::pg_catalog.text as name
       from rows from (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.text[])) as named(oid, name)
       join pg_catalog.pg_attribute a on a.attrelid = named.oid and a.attname = named.name
       where a.attnum > 0 and not a.attisdropped`,
      [columns.map(([oid]) => oid), columns.map(([, name]) => name)],
    );
    return result.rows.map(({ oid, name }) => [oid, name]);
  }
}

type TableColumn = readonly [oid: number, column: string];

const NONE: ReadonlySet<number> = new Set();

function idOf([oid, column]: TableColumn): string {
  return `${String(oid)} ${column}`;
}

function missingColumn({ collection, name }: CapturedTable, column: string): RealtimeError {
  return new RealtimeError(
    "forbidden",
    `The filters of this key or token name the column ${JSON.stringify(column)}, which the table ${quoteQualifiedName(name)} does not have, so nothing of the collection "${collection}" is granted: correct the filters, or add the column.`,
  );
}
