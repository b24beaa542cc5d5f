import type { JsonText } from "@paperdb/protocol";
import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  DBRef,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from "mongodb";
import { isExactNumber } from "../exact-number.ts";
import { isPlainObject } from "./tenant-value.ts";

const NOTHING_HIDDEN: ReadonlySet<string> = new Set();

/**
 * A BSON document, as the driver reads it with `promoteValues: false`, as the JSON
 * that clients get, on one line. `docs/mongodb.md` has the table of types.
 *
 * @param hidden - paths of fields that are left out, joined by dots; arrays are passed through.
 */
export function bsonJson(value: unknown, hidden: ReadonlySet<string> = NOTHING_HIDDEN): JsonText {
  return hidden.size === 0 ? encode(value, undefined, "") : encode(value, hidden, "");
}

/** A document's `_id` as text: a string as it is, another value as its JSON without quotes around it. */
export function documentIdText(id: unknown): string {
  if (typeof id === "string") return id;
  const json = bsonJson(id);
  return json.startsWith('"') ? String(JSON.parse(json)) : json;
}

function encode(value: unknown, hidden: ReadonlySet<string> | undefined, path: string): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "number":
      return numberJson(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      return exactJson(String(value));
    case "object":
      return value === null ? "null" : encodeObject(value, hidden, path);
    case "undefined":
    case "function":
    case "symbol":
      return "null";
  }
}

function encodeObject(value: object, hidden: ReadonlySet<string> | undefined, path: string): string {
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    return `[${items.map((item) => encode(item, hidden, path)).join(",")}]`;
  }
  if (isPlainObject(value)) return encodeMembers(value, hidden, path);
  // To the database it is a document, whose fields may be hidden.
  if (value instanceof DBRef) return encodeMembers(membersOf(value), hidden, path);
  return encodeClass(value);
}

function encodeMembers(
  value: Readonly<Record<string, unknown>>,
  hidden: ReadonlySet<string> | undefined,
  path: string,
): string {
  let json = "";
  for (const name of Object.keys(value)) {
    const inner = hidden === undefined ? "" : `${path}${name}`;
    if (hidden?.has(inner)) continue;
    json += `${json === "" ? "" : ","}${JSON.stringify(name)}:${encode(value[name], hidden, `${inner}.`)}`;
  }
  return `{${json}}`;
}

function encodeClass(value: object): string {
  if (value instanceof ObjectId) return `"${value.toHexString()}"`;
  if (value instanceof Int32) return String(value.value);
  if (value instanceof Double) return numberJson(value.value);
  if (value instanceof Date) return dateJson(value);
  // A timestamp is a Long by its class.
  if (value instanceof Timestamp) return `{"t":${String(value.t)},"i":${String(value.i)}}`;
  if (value instanceof Long || value instanceof Decimal128) return exactJson(value.toString());
  if (value instanceof Binary) return binaryJson(value);
  if (value instanceof BSONRegExp) {
    return JSON.stringify({ pattern: value.pattern, options: value.options });
  }
  if (value instanceof RegExp) return JSON.stringify({ pattern: value.source, options: value.flags });
  if (value instanceof BSONSymbol) return JSON.stringify(value.value);
  if (value instanceof Code) return codeJson(value);
  if (value instanceof MinKey) return '"MinKey"';
  if (value instanceof MaxKey) return '"MaxKey"';
  return "null";
}

function numberJson(value: number): string {
  return Number.isFinite(value) ? JSON.stringify(value) : `"${String(value)}"`;
}

/** @param token - a decimal, or `NaN` or `Infinity`. */
function exactJson(token: string): string {
  return isExactNumber(token) ? token : `"${token}"`;
}

/** BSON has dates that JavaScript's calendar does not reach. */
function dateJson(date: Date): string {
  return Number.isNaN(date.getTime()) ? "null" : `"${date.toISOString()}"`;
}

function binaryJson(value: Binary): string {
  const isUuid = value.sub_type === Binary.SUBTYPE_UUID && value.length() === UUID_BYTES;
  return `"${isUuid ? value.toUUID().toHexString() : value.toString("base64")}"`;
}

const UUID_BYTES = 16;

function codeJson({ code, scope }: Code): string {
  if (scope === null) return JSON.stringify(code);
  return `{"code":${JSON.stringify(code)},"scope":${bsonJson(scope)}}`;
}

function membersOf({ collection, oid, db, fields }: DBRef): Readonly<Record<string, unknown>> {
  return { $ref: collection, $id: oid, ...(db === undefined ? {} : { $db: db }), ...fields };
}
