import type { Filter } from "./filter.ts";
import type { FilterNode, InNode } from "./filter-node.ts";
import type { FieldPath } from "./field-path.ts";
import { isScalar } from "./json-value.ts";
import type { SqlColumn, SqlTable } from "./sql-column.ts";
import { allOf, constantPart, EVERY_ROW, noneOf, oneOf } from "./sql-part.ts";
import type { SqlPart } from "./sql-part.ts";
import { rangePart, timeEquality } from "./sql-range.ts";
import { SCALAR_TYPES, SQL_TYPES } from "./sql-types.ts";
import type { SqlType } from "./sql-types.ts";

/**
 * A condition, for a WHERE clause, that is true for every row whose delivered JSON matches, and perhaps for
 * others: it saves reading, it does not decide.
 *
 * @param literal - writes a text as SQL.
 * @returns undefined when nothing can be saved.
 */
export function toSql(
  filter: Filter,
  table: SqlTable,
  literal: (text: string) => string,
): string | undefined {
  const part = translate(filter.node, table);
  if (part === undefined || part === EVERY_ROW) return undefined;
  return part.write((value, cast) => {
    const written = typeof value === "string" ? literal(value) : `array[${value.map(literal).join()}]`;
    return `${written}::${cast}`;
  });
}

function translate(node: FilterNode, table: SqlTable): SqlPart | undefined {
  switch (node.kind) {
    case "and":
      return allOf(node.nodes.map((inner) => translate(inner, table)));
    case "or":
      return oneOf(node.nodes.map((inner) => translate(inner, table)));
    case "not":
      return noneOf(translate(node.node, table));
    case "exists":
      return columnAt(node.path, table) === undefined ? undefined : EVERY_ROW;
    case "range": {
      const column = columnAt(node.path, table);
      return column === undefined ? undefined : rangePart(node, column, table.encoding);
    }
    case "in": {
      const column = columnAt(node.path, table);
      return column === undefined ? undefined : equality(node, column, table.encoding);
    }
  }
}

function columnAt(path: FieldPath, table: SqlTable): SqlColumn | undefined {
  const [name = ""] = path;
  return path.length === 1 ? table.columns.get(name) : undefined;
}

function equality(node: InNode, column: SqlColumn, encoding: string): SqlPart | undefined {
  if (!SCALAR_TYPES.has(column.type)) return undefined;
  // An object or a list is never what a scalar is delivered as.
  const scalars = node.values.filter(isScalar);
  const values = scalars.filter((value) => value !== null);
  const isNull = scalars.length > values.length ? [constantPart(`${column.reference} is null`)] : [];
  return oneOf([...isNull, ...valueParts(values, column, encoding)]);
}

function valueParts(
  values: readonly (string | number | boolean)[],
  column: SqlColumn,
  encoding: string,
): readonly (SqlPart | undefined)[] {
  const type = SQL_TYPES.get(column.type);
  if (type !== undefined) return [equalToOne(values, column, type, encoding)];
  // All the others are strings to a client, or numbers that have no exact text.
  return values.map((value) => (typeof value === "string" ? timeEquality(value, column) : undefined));
}

function equalToOne(
  values: readonly (string | number | boolean)[],
  column: SqlColumn,
  type: SqlType,
  encoding: string,
): SqlPart | undefined {
  const operands = values.map((value) => type.operand(value, encoding));
  if (operands.includes(undefined)) return undefined;
  const parameters = operands.filter((operand) => typeof operand === "object").map(({ text }) => text);
  const [only] = parameters;
  if (only === undefined) return oneOf([]);
  const { reference } = column;
  const compared = type.isText ? `${reference}::text` : reference;
  return {
    isExact: type.isEqualityExact,
    write: (literal) =>
      parameters.length === 1
        ? `${compared} = ${literal(only, type.cast)}`
        : `${compared} = any(${literal(parameters, `${type.cast}[]`)})`,
  };
}
