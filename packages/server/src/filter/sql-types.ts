import { dateBounds } from "./date-bounds.ts";

/**
 * What a value is compared as; `never` when no value of the type is delivered as it;
 * undefined when that cannot be told.
 */
type SqlOperand = { readonly text: string } | "never" | undefined;

/** How a type's column is compared with the values of a filter. */
export interface SqlType {
  /** What values are cast to. */
  readonly cast: string;
  /** Whether the column's text is compared, not the column. */
  readonly isText: boolean;
  /** Whether `=` finds exactly what is equal as JSON, and not more. */
  readonly isEqualityExact: boolean;
  readonly operand: (value: string | number | boolean, encoding: string) => SqlOperand;
}

const ASCII = /^\p{ASCII}*$/u;
const UNSTORABLE = /[\0\p{Surrogate}]/u;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const LARGE_INTEGER = /^-?[1-9]\d{15,18}$/;
const MAX_INT8 = 2n ** 63n - 1n;

/** The types whose values can be compared for equality. */
export const SQL_TYPES: ReadonlyMap<string, SqlType> = new Map<string, SqlType>([
  // A collation of the column's can find more than the bytes, never less.
  ["text", { cast: "text", isText: false, isEqualityExact: false, operand: textOperand }],
  ["varchar", { cast: "text", isText: false, isEqualityExact: false, operand: textOperand }],
  // A text that is no label is no value of the enum: it cannot be cast.
  ["enum", { cast: "text", isText: true, isEqualityExact: true, operand: textOperand }],
  ["int2", { cast: "int8", isText: false, isEqualityExact: true, operand: integerOperand }],
  ["int4", { cast: "int8", isText: false, isEqualityExact: true, operand: integerOperand }],
  ["int8", { cast: "int8", isText: false, isEqualityExact: true, operand: largeIntegerOperand }],
  ["numeric", { cast: "numeric", isText: false, isEqualityExact: false, operand: numberOperand }],
  ["float8", { cast: "float8", isText: false, isEqualityExact: false, operand: numberOperand }],
  ["bool", { cast: "bool", isText: false, isEqualityExact: true, operand: booleanOperand }],
  ["uuid", { cast: "uuid", isText: false, isEqualityExact: true, operand: uuidOperand }],
  ["date", { cast: "date", isText: false, isEqualityExact: true, operand: dateOperand }],
]);

/** Types whose NULL is the only value that is delivered as null, besides those above. */
const OTHER_SCALARS: readonly string[] = [
  "timestamp",
  "timestamptz",
  "bpchar",
  "name",
  "citext",
  "float4",
  "time",
  "timetz",
  "interval",
  "inet",
  "cidr",
  "macaddr",
  "bytea",
  "oid",
  "money",
];

/** Types of which NULL is delivered as null, and nothing else is. */
export const SCALAR_TYPES: ReadonlySet<string> = new Set([...SQL_TYPES.keys(), ...OTHER_SCALARS]);

/** Whether the database can be asked for a text, and orders it by code point under `COLLATE "C"`. */
export function isComparableText(text: string, encoding: string): boolean {
  return !UNSTORABLE.test(text) && (encoding === "UTF8" || ASCII.test(text));
}

function textOperand(value: string | number | boolean, encoding: string): SqlOperand {
  if (typeof value !== "string") return "never";
  return isComparableText(value, encoding) ? { text: value } : undefined;
}

function integerOperand(value: string | number | boolean): SqlOperand {
  return Number.isSafeInteger(value) ? { text: String(value) } : "never";
}

/** Beyond the safe integers a client sees the digits as a string. */
function largeIntegerOperand(value: string | number | boolean): SqlOperand {
  if (typeof value !== "string") return integerOperand(value);
  if (!LARGE_INTEGER.test(value)) return "never";
  const integer = BigInt(value);
  const isSafe = Number.isSafeInteger(Number(integer)) && BigInt(Number(integer)) === integer;
  const isStorable = integer <= MAX_INT8 && integer >= -MAX_INT8 - 1n;
  return isStorable && !isSafe ? { text: value } : "never";
}

/** The shortest decimal of a double is the only number that is delivered as it. */
function numberOperand(value: string | number | boolean): SqlOperand {
  if (typeof value === "boolean") return "never";
  return typeof value === "number" ? { text: String(value) } : undefined;
}

function booleanOperand(value: string | number | boolean): SqlOperand {
  return typeof value === "boolean" ? { text: String(value) } : "never";
}

function uuidOperand(value: string | number | boolean): SqlOperand {
  return typeof value === "string" && UUID.test(value) ? { text: value } : "never";
}

function dateOperand(value: string | number | boolean): SqlOperand {
  if (typeof value !== "string") return "never";
  const bounds = dateBounds(value);
  return bounds?.precision === "day" && bounds.rest === "" ? { text: value } : undefined;
}
