import { dateBounds } from "./date-bounds.ts";
import type { RangeNode } from "./filter-node.ts";
import type { SqlColumn } from "./sql-column.ts";
import { NO_ROW } from "./sql-part.ts";
import type { SqlPart } from "./sql-part.ts";
import { isComparableText } from "./sql-types.ts";

const SIGNS = { $gt: ">", $gte: ">=", $lt: "<", $lte: "<=" } as const;

/** A range as a condition on a column; undefined when there is none that is safe. */
export function rangePart(node: RangeNode, column: SqlColumn, encoding: string): SqlPart | undefined {
  const { bound } = node;
  switch (column.type) {
    case "bool":
      return NO_ROW;
    case "text":
    case "varchar":
      return typeof bound === "string" ? textRange(node, bound, column, encoding) : NO_ROW;
    case "int2":
    case "int4":
      return typeof bound === "number" ? integerRange(node, bound, column, true) : NO_ROW;
    case "int8":
      // Beyond the safe integers they are strings to a client.
      return typeof bound === "number" ? integerRange(node, bound, column, false) : undefined;
    case "numeric":
    case "float8":
      // NaN and what is inexact are strings to a client, but in order here.
      return typeof bound === "number"
        ? compared(node, column, String(bound), column.type, false)
        : undefined;
    case "date":
    case "timestamp":
    case "timestamptz":
      return typeof bound === "string" ? timeRange(node, bound, column) : NO_ROW;
    default:
      return undefined;
  }
}

function textRange(
  node: RangeNode,
  bound: string,
  { reference }: SqlColumn,
  encoding: string,
): SqlPart | undefined {
  if (!isComparableText(bound, encoding)) return undefined;
  const sign = SIGNS[node.operator];
  return { isExact: true, write: (literal) => `${reference} collate "C" ${sign} ${literal(bound, "text")}` };
}

function integerRange(
  node: RangeNode,
  bound: number,
  column: SqlColumn,
  isExact: boolean,
): SqlPart | undefined {
  const isAbove = node.operator === "$gt" || node.operator === "$lte";
  const whole = isAbove ? Math.floor(bound) : Math.ceil(bound);
  return Number.isSafeInteger(whole) ? compared(node, column, String(whole), "int8", isExact) : undefined;
}

function compared(
  { operator }: RangeNode,
  { reference }: SqlColumn,
  bound: string,
  cast: string,
  isExact: boolean,
): SqlPart {
  return { isExact, write: (literal) => `${reference} ${SIGNS[operator]} ${literal(bound, cast)}` };
}

/** From the year 1 to 9999 texts are in the order of their times; other times are read in any case. */
function timeRange(
  { operator }: RangeNode,
  bound: string,
  { reference, type }: SqlColumn,
): SqlPart | undefined {
  const bounds = dateBounds(type === "date" ? bound.slice(0, "2026-01-02".length) : bound);
  if (bounds === undefined) return undefined;
  const isLower = operator === "$gt" || operator === "$gte";
  const edge = timeText(isLower ? bounds.floor : bounds.ceiling, type);
  const others = isLower
    ? `${reference} < ${timeLiteral("0001-01-01T00:00:00", type)}`
    : `${reference} >= ${timeLiteral("10000-01-01T00:00:00", type)}`;
  return {
    isExact: false,
    write: (literal) => `(${reference} ${isLower ? ">=" : "<"} ${literal(edge, type)} or ${others})`,
  };
}

/** A time whose text is this one; undefined for a text that no such time of four digits' years has. */
export function timeEquality(value: string, { reference, type }: SqlColumn): SqlPart | undefined {
  const bounds = dateBounds(value);
  if (bounds?.precision !== "second" || TIME_ENDS[type]?.test(bounds.rest) !== true) return undefined;
  const floor = timeText(bounds.floor, type);
  const ceiling = timeText(bounds.ceiling, type);
  return {
    isExact: false,
    write: (literal) =>
      `(${reference} >= ${literal(floor, type)} and ${reference} < ${literal(ceiling, type)})`,
  };
}

const TIME_ENDS: Readonly<Record<string, RegExp>> = {
  timestamp: /^(?:\.\d{1,6})?$/,
  timestamptz: /^(?:\.\d{1,6})?\+00:00$/,
};

function timeText(moment: string, type: string): string {
  if (type === "date") return moment.slice(0, moment.indexOf("T"));
  return type === "timestamptz" ? `${moment}+00` : moment;
}

function timeLiteral(moment: string, type: string): string {
  return `'${timeText(moment, type)}'::${type}`;
}
