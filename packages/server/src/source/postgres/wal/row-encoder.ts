import { RealtimeError } from "@paperdb/protocol";
import type { JsonText } from "@paperdb/protocol";
import { whyNotEncodable } from "./encodable.ts";
import type { RowRules } from "./encodable.ts";
import { JsonBytes } from "./json-bytes.ts";
import type { Relation } from "./relation.ts";
import { findValue, nextValue, NULL_VALUE, TEXT_VALUE, UNCHANGED_TOAST, valueLength } from "./tuple.ts";
import type { Tuple } from "./tuple.ts";
import type { TypeCatalog } from "./type-catalog.ts";
import { castToText, UnexpectedTextError, valueJson } from "./value-json.ts";
import type { TypePlan, ValueType } from "./value-type.ts";

/**
 * A row's values are not all there, or not what they were thought to be. No document can be made of it, so whoever
 * watches the table is reset.
 */
export class IncompleteRowError extends Error {
  override readonly name = "IncompleteRowError";
  /** For logs; `identity` and `unchanged_toast`: the table has not REPLICA IDENTITY FULL. */
  readonly reason: "identity" | "unchanged_toast" | "type_changed";

  constructor(reason: IncompleteRowError["reason"], options?: ErrorOptions) {
    super(`A row cannot be made a document: ${reason}.`, options);
    this.reason = reason;
  }
}

interface EncodedColumn extends TypePlan {
  /** What stands before its value: a brace or a comma, and its name. Undefined when it is hidden. */
  readonly prefix: Buffer | undefined;
}

const EMPTY_PREFIX = Buffer.from("{");
const NULL = Buffer.from("null");
const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");
const CLOSE_BRACE = Buffer.from("}");
const LOWER_T = 0x74;

/**
 * Makes documents of the rows of one {@link Relation}: the same JSON, character for character, as the `notify` mode
 * would deliver.
 *
 * Each method takes a row, and of an update also the row before, where unchanged large values are taken from; and
 * throws {@link IncompleteRowError}.
 */
export class RowEncoder {
  readonly #columns: readonly EncodedColumn[];
  readonly #tenantColumn: number;
  readonly #primaryKey: readonly number[];
  readonly #output = new JsonBytes();

  /**
   * @param types - has loaded the relation's types.
   * @throws {RealtimeError} `collection_not_usable`, see {@link whyNotEncodable}.
   */
  constructor(relation: Relation, rules: RowRules, types: TypeCatalog) {
    const problem = whyNotEncodable(relation, rules, types);
    if (problem !== undefined) throw new RealtimeError("collection_not_usable", problem);
    let shown = 0;
    this.#columns = relation.columns.map(({ name, typeOid }) => {
      const isShown = !rules.hidden.has(name);
      if (isShown) shown += 1;
      const before = shown === 1 ? "{" : ",";
      return {
        ...types.get(typeOid),
        prefix: isShown ? Buffer.from(`${before}${JSON.stringify(name)}:`) : undefined,
      };
    });
    const place = (column: string): number => relation.columns.findIndex(({ name }) => name === column);
    this.#tenantColumn = place(rules.tenantColumn);
    this.#primaryKey = rules.primaryKey.map(place);
  }

  /** The tenant column as text: whom the row belongs to; null: nobody. */
  tenant(row: Tuple, old?: Tuple): string | null {
    return this.#text(this.#tenantColumn, row, old);
  }

  /** The primary key as text; of several columns, a JSON array. */
  documentId(row: Tuple, old?: Tuple): string {
    const [only, ...more] = this.#primaryKey;
    if (only !== undefined && more.length === 0) return this.#keyText(only, row, old);
    return guarded(() => `[${this.#primaryKey.map((column) => this.#keyJson(column, row, old)).join()}]`);
  }

  /** The row as JSON text, without hidden columns. */
  document(row: Tuple, old?: Tuple): JsonText {
    requireComplete(row);
    this.#output.clear();
    return guarded(() => this.#document(row, old));
  }

  #document(row: Tuple, old: Tuple | undefined): JsonText {
    const output = this.#output;
    const { bytes } = row;
    let offset = row.start;
    let first = true;
    for (let index = 0; index < this.#columns.length; index++) {
      const column = this.#columns[index];
      if (column?.prefix !== undefined) {
        first = false;
        output.raw(column.prefix, 0, column.prefix.length);
        const kind = bytes[offset];
        if (kind === UNCHANGED_TOAST) this.#unchanged(index, column.value, old);
        else writeValue(output, column.value, bytes, offset);
      }
      offset = nextValue(bytes, offset);
    }
    if (first) output.raw(EMPTY_PREFIX, 0, 1);
    output.raw(CLOSE_BRACE, 0, 1);
    return output.take();
  }

  /** Large values that an update leaves alone are in the row before only. */
  #unchanged(index: number, type: ValueType, old: Tuple | undefined): void {
    const { bytes, offset } = storedIn(index, old);
    writeValue(this.#output, type, bytes, offset);
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

function requireComplete(row: Tuple): void {
  if (!row.complete) throw new IncompleteRowError("identity");
}

function storedIn(
  index: number,
  old: Tuple | undefined,
): { readonly bytes: Buffer; readonly offset: number } {
  if (old?.complete === true) {
    const offset = findValue(old, index);
    if (old.bytes[offset] !== UNCHANGED_TOAST) return { bytes: old.bytes, offset };
  }
  throw new IncompleteRowError("unchanged_toast");
}

function writeValue(output: JsonBytes, type: ValueType, bytes: Buffer, offset: number): void {
  if (bytes[offset] === NULL_VALUE) {
    output.raw(NULL, 0, NULL.length);
    return;
  }
  const start = offset + 5;
  const end = start + valueLength(bytes, offset);
  switch (type.kind) {
    case "integer":
      output.raw(bytes, start, end);
      return;
    case "number":
      output.number(bytes, start, end);
      return;
    case "string":
      output.string(bytes, start, end);
      return;
    case "boolean": {
      const word = bytes[start] === LOWER_T ? TRUE : FALSE;
      output.raw(word, 0, word.length);
      return;
    }
    case "plain":
      output.plain(bytes, start, end);
      return;
    case "timestamp":
    case "timestamptz":
      output.timestamp(bytes, start, end);
      return;
    case "json":
    case "hstore":
    case "vector":
    case "array":
    case "composite":
    case "unsupported":
      output.json(valueJson(type, bytes.toString("utf8", start, end)));
      return;
  }
}

/** A text that does not fit its type: the type was changed since it was looked up, or will be. */
function guarded<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof UnexpectedTextError) throw new IncompleteRowError("type_changed", { cause: error });
    throw error;
  }
}
