import { RealtimeError } from "@paperdb/protocol";
import type { JsonText } from "@paperdb/protocol";
import { unsupportedIn, whyNotEncodable } from "./encodable.ts";
import type { RowRules } from "./encodable.ts";
import { JsonBytes } from "./json-bytes.ts";
import type { Relation } from "./relation.ts";
import { RowKeys } from "./row-keys.ts";
import { guarded, requireComplete, storedIn } from "./row-values.ts";
import { isSameValue, nextValue, UNCHANGED_TOAST } from "./tuple.ts";
import type { Tuple } from "./tuple.ts";
import type { TypeCatalog } from "./type-catalog.ts";
import { writeStored, writeValue } from "./write-value.ts";
import type { TypePlan, ValueType } from "./value-type.ts";

interface EncodedColumn extends TypePlan {
  /** Which of a row's two objects it belongs to, if any. */
  readonly part: Part | undefined;
  /** What stands before its value there: a brace or a comma, and its name. */
  readonly prefix: Buffer;
}

/** What clients see of a row, and what the filters of grants see besides. */
type Part = "shown" | "hidden";

/** A row after and before an update. */
export interface UpdatedRow {
  readonly document: JsonText;
  readonly prior: JsonText;
}

/** A column that an update changed: where its old value is, and where the new one stands in the document. */
interface ChangedColumn {
  readonly value: ValueType;
  readonly oldOffset: number;
  readonly start: number;
  readonly end: number;
}

/** With more of them, it is cheaper to write the prior document as a whole. */
const MAX_SPLICED_COLUMNS = 4;

const EMPTY_PREFIX = Buffer.from("{");
const CLOSE_BRACE = Buffer.from("}");

/**
 * Makes documents of the rows of one {@link Relation}: the same JSON, character for character, as the `notify` mode
 * would deliver.
 *
 * Each method takes a row, and of an update also the row before, where unchanged large values are taken from; and
 * throws `IncompleteRowError`.
 */
export class RowEncoder {
  readonly #columns: readonly EncodedColumn[];
  readonly #keys: RowKeys;
  readonly #hidesAny: boolean;
  readonly #output = new JsonBytes();

  /**
   * @param types - has loaded the relation's types.
   * @throws {RealtimeError} `collection_not_usable`, see {@link whyNotEncodable}.
   */
  constructor(relation: Relation, rules: RowRules, types: TypeCatalog) {
    const problem = whyNotEncodable(relation, rules, types);
    if (problem !== undefined) throw new RealtimeError("collection_not_usable", problem);
    const counts = { shown: 0, hidden: 0 };
    this.#columns = relation.columns.map(({ name, typeOid }) => {
      const plan = types.get(typeOid);
      const part = partOf(name, plan.value, rules);
      const before = part === undefined || counts[part] > 0 ? "," : "{";
      if (part !== undefined) counts[part] += 1;
      return { ...plan, part, prefix: Buffer.from(`${before}${JSON.stringify(name)}:`) };
    });
    this.#hidesAny = counts.hidden > 0;
    this.#keys = new RowKeys(relation, rules, types);
  }

  /** The tenant column as text: whom the row belongs to; null: nobody. */
  tenant(row: Tuple, old?: Tuple): string | null {
    return this.#keys.tenant(row, old);
  }

  /** The primary key as text; of several columns, a JSON array. */
  documentId(row: Tuple, old?: Tuple): string {
    return this.#keys.documentId(row, old);
  }

  /** The row as JSON text, without hidden columns. */
  document(row: Tuple, old?: Tuple): JsonText {
    return this.#object("shown", row, old);
  }

  /** The hidden columns of the row as JSON text; undefined where none is hidden. */
  hidden(row: Tuple, old?: Tuple): JsonText | undefined {
    return this.#hidesAny ? this.#object("hidden", row, old) : undefined;
  }

  /** Both documents of an update, in little more time than the newer one alone. */
  documents(row: Tuple, old: Tuple): UpdatedRow {
    requireComplete(row);
    requireComplete(old);
    this.#output.clear();
    return guarded(() => this.#documents(row, old));
  }

  #object(part: Part, row: Tuple, old: Tuple | undefined): JsonText {
    requireComplete(row);
    this.#output.clear();
    return guarded(() => this.#members(part, row, old));
  }

  #members(part: Part, row: Tuple, old: Tuple | undefined): JsonText {
    const output = this.#output;
    const { bytes } = row;
    let offset = row.start;
    let first = true;
    for (let index = 0; index < this.#columns.length; index++) {
      const column = this.#columns[index];
      if (column?.part === part) {
        first = false;
        output.raw(column.prefix, 0, column.prefix.length);
        const kind = bytes[offset];
        if (kind === UNCHANGED_TOAST) this.#unchanged(index, column.value, old);
        else writeValue(output, column.value, bytes, offset);
      }
      offset = nextValue(bytes, offset);
    }
    return closed(output, first);
  }

  #documents(row: Tuple, old: Tuple): UpdatedRow {
    const output = this.#output;
    const changed: ChangedColumn[] = [];
    const { bytes } = row;
    let offset = row.start;
    let oldOffset = old.start;
    let first = true;
    for (const { part, prefix, value } of this.#columns) {
      if (part === "shown") {
        first = false;
        output.raw(prefix, 0, prefix.length);
        const start = output.length;
        if (bytes[offset] === UNCHANGED_TOAST) {
          writeStored(output, value, old.bytes, oldOffset);
        } else {
          writeValue(output, value, bytes, offset);
          if (!isSameValue(bytes, offset, old.bytes, oldOffset))
            changed.push({ value, oldOffset, start, end: output.length });
        }
      }
      offset = nextValue(bytes, offset);
      oldOffset = nextValue(old.bytes, oldOffset);
    }
    const isAscii = output.isAscii;
    const document = closed(output, first);
    const isSpliced = changed.length === 0 || (isAscii && changed.length <= MAX_SPLICED_COLUMNS);
    const prior = isSpliced
      ? this.#splice(document, changed, old.bytes)
      : this.#members("shown", old, undefined);
    return { document, prior };
  }

  /** The document with old values in place of new ones. What they share is in memory once. */
  #splice(document: JsonText, changed: readonly ChangedColumn[], bytes: Buffer): JsonText {
    if (changed.length === 0) return document;
    let prior = "";
    let from = 0;
    for (const { value, oldOffset, start, end } of changed) {
      writeStored(this.#output, value, bytes, oldOffset);
      prior += document.slice(from, start) + this.#output.take();
      from = end;
    }
    return prior + document.slice(from);
  }

  /** Large values that an update leaves alone are in the row before only. */
  #unchanged(index: number, type: ValueType, old: Tuple | undefined): void {
    const { bytes, offset } = storedIn(index, old);
    writeValue(this.#output, type, bytes, offset);
  }
}

/** A hidden column whose JSON only the database can say is in neither; see {@link whyNotEncodable}. */
function partOf(name: string, type: ValueType, { hidden }: RowRules): Part | undefined {
  if (!hidden.has(name)) return "shown";
  return unsupportedIn(type) === undefined ? "hidden" : undefined;
}

/** @param isEmpty - nothing was written yet. */
function closed(output: JsonBytes, isEmpty: boolean): JsonText {
  if (isEmpty) output.raw(EMPTY_PREFIX, 0, 1);
  output.raw(CLOSE_BRACE, 0, 1);
  return output.take();
}
