import type { JsonText } from "@paperdb/protocol";
import type { RowRules } from "./encodable.ts";
import { IncompleteRowError } from "./incomplete-row-error.ts";
import type { Relation } from "./relation.ts";
import { guarded, requireComplete, storedIn } from "./row-values.ts";
import { findValue, NULL_VALUE, TEXT_VALUE, UNCHANGED_TOAST, valueLength } from "./tuple.ts";
import type { Tuple } from "./tuple.ts";
import type { TypeCatalog } from "./type-catalog.ts";
import { castToText, valueJson } from "./value-json.ts";
import type { TypePlan } from "./value-type.ts";

/** Whose the rows of one {@link Relation} are, and which. */
export class RowKeys {
  readonly #columns: readonly TypePlan[];
  readonly #tenantColumn: number;
  readonly #primaryKey: readonly number[];

  /** @param types - has loaded the relation's types. */
  constructor({ columns }: Relation, rules: RowRules, types: TypeCatalog) {
    const place = (column: string): number => columns.findIndex(({ name }) => name === column);
    this.#columns = columns.map(({ typeOid }) => types.get(typeOid));
    this.#tenantColumn = place(rules.tenantColumn);
    this.#primaryKey = rules.primaryKey.map(place);
  }

  /** See `RowEncoder`. */
  tenant(row: Tuple, old?: Tuple): string | null {
    return this.#text(this.#tenantColumn, row, old);
  }

  /** See `RowEncoder`. */
  documentId(row: Tuple, old?: Tuple): string {
    const [only, ...more] = this.#primaryKey;
    if (only !== undefined && more.length === 0) return this.#keyText(only, row, old);
    return guarded(() => `[${this.#primaryKey.map((column) => this.#keyJson(column, row, old)).join()}]`);
  }

  #text(index: number, row: Tuple, old: Tuple | undefined): string | null {
    requireComplete(row);
    let { bytes } = row;
    let offset = findValue(row, index);
    if (bytes[offset] === UNCHANGED_TOAST) ({ bytes, offset } = storedIn(index, old));
    if (bytes[offset] === NULL_VALUE) return null;
    const start = offset + 5;
    const text = bytes.toString("utf8", start, start + valueLength(bytes, offset));
    return castToText(this.#columns[index]?.textCast ?? "same", text);
  }

  #keyText(index: number, row: Tuple, old: Tuple | undefined): string {
    const text = this.#text(index, row, old);
    // A primary key cannot be NULL: the server sent the identity of another index.
    if (text === null) throw new IncompleteRowError("identity");
    return text;
  }

  #keyJson(index: number, row: Tuple, old: Tuple | undefined): JsonText {
    requireComplete(row);
    let { bytes } = row;
    let offset = findValue(row, index);
    if (bytes[offset] === UNCHANGED_TOAST) ({ bytes, offset } = storedIn(index, old));
    const type = this.#columns[index]?.value;
    if (bytes[offset] !== TEXT_VALUE || type === undefined) throw new IncompleteRowError("identity");
    const start = offset + 5;
    return valueJson(type, bytes.toString("utf8", start, start + valueLength(bytes, offset)));
  }
}
