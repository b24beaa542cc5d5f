import type { Relation, RelationColumn } from "./relation.ts";
import type { TypeCatalog } from "./type-catalog.ts";
import type { TableColumn } from "./type-query.ts";
import type { ValueType } from "./value-type.ts";

/** What of a table is delivered, and to whom. `CapturedTable` has it. */
export interface RowRules {
  readonly tenantColumn: string;
  /** The primary key's columns in its order. */
  readonly primaryKey: readonly string[];
  /** Columns that are never delivered. */
  readonly hidden: ReadonlySet<string>;
  /** Those of them that the stream does not have anyway. */
  readonly virtualColumns?: readonly string[];
  readonly unsentColumns?: readonly string[];
  /** Those of them that filters of grants name: their values have to be known. */
  readonly filtered?: ReadonlySet<string>;
}

/** A table as the stream or the catalog describes it; what the stream describes has no unsent columns. */
interface DescribedTable extends Pick<Relation, "schema" | "name"> {
  readonly columns: readonly (RelationColumn & Partial<Pick<TableColumn, "unsent">>)[];
}

/**
 * Why rows of these columns cannot be delivered, as a sentence: a column that is needed is not in the stream, or the
 * JSON of a type is known to the database only.
 */
export function whyNotEncodable(
  { schema, name, columns }: DescribedTable,
  rules: RowRules,
  types: TypeCatalog,
): string | undefined {
  const shown = `"${schema}.${name}"`;
  const isComposite = rules.primaryKey.length > 1;
  for (const column of [rules.tenantColumn, ...rules.primaryKey]) {
    const found = columns.find((candidate) => candidate.name === column);
    if (found === undefined) {
      return `The replication stream does not have the column "${column}" of the table ${shown}, which is needed: take it into the publication's column list, or leave the list out.`;
    }
    if ((found.unsent ?? null) !== null) return unsentColumn(found, shown);
    const { value, textCast } = types.get(found.typeOid);
    // A composite key is an array of JSON values; the others are texts.
    const isText = column === rules.tenantColumn || !isComposite;
    if (isText ? textCast === "unsupported" : unsupportedIn(value) !== undefined) {
      return `The column "${column}" of the table ${shown} cannot be a tenant or a key in wal mode, since its type has a cast of its own, or is xml: use notify mode, or another column.`;
    }
  }
  const missing = missingHidden(columns, rules);
  if (missing !== undefined) {
    return `The table ${shown} has no ${missing} column to hide any more, and what has been it may have another name: correct "hide" in the configuration.`;
  }
  for (const column of columns) {
    // Hidden or not: with it and REPLICA IDENTITY FULL, every UPDATE and DELETE of a published table fails.
    if (column.unsent === "virtual") {
      return `The table ${shown} has the virtual generated column "${column.name}", with which PostgreSQL refuses UPDATE and DELETE of a table that wal mode publishes: make the column STORED, or use notify mode.`;
    }
    if (rules.hidden.has(column.name)) continue;
    if (column.unsent === "stored") return unsentColumn(column, shown);
    const problem = unsupportedIn(types.get(column.typeOid).value);
    if (problem !== undefined) return unsupportedColumn(column, shown, problem);
  }
  for (const filtered of rules.filtered ?? []) {
    const found = columns.find((column) => column.name === filtered);
    const isKnown =
      (found?.unsent ?? null) === null &&
      found !== undefined &&
      unsupportedIn(types.get(found.typeOid).value) === undefined;
    if (!isKnown)
      return `The hidden column "${filtered}" of the table ${shown} cannot be used by filters in wal mode, since the replication stream does not tell its value as JSON: use another column, or notify mode.`;
  }
  return undefined;
}

function missingHidden(
  columns: readonly RelationColumn[],
  { hidden, virtualColumns = [], unsentColumns = [] }: RowRules,
): string | undefined {
  return [...hidden].find(
    (name) =>
      !virtualColumns.includes(name) &&
      !unsentColumns.includes(name) &&
      !columns.some((column) => column.name === name),
  );
}

function unsentColumn({ name }: RelationColumn, table: string): string {
  return `The generated column "${name}" of the table ${table} is not in the replication stream before PostgreSQL 18: hide it, or use notify mode.`;
}

function unsupportedColumn({ name }: RelationColumn, table: string, reason: string): string {
  return `The column "${name}" of the table ${table} cannot be delivered in wal mode: ${reason}. Hide it, or use notify mode.`;
}

/** Why no JSON can be made of a type's values, as part of a sentence. */
export function unsupportedIn(type: ValueType): string | undefined {
  if (type.kind === "unsupported") return type.reason;
  if (type.kind === "array" || type.kind === "vector") return unsupportedIn(type.element);
  if (type.kind !== "composite") return undefined;
  for (const field of type.fields) {
    const problem = unsupportedIn(field.type);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
