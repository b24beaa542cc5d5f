import { BSON, Code, Decimal128, MaxKey, MinKey, ObjectId, UUID } from "mongodb";
import type { StoredForms } from "../../filter/to-mongo.ts";

const OBJECT_ID = /^[0-9a-f]{24}$/;
const UUID_TEXT = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const DECIMAL = /^-?\d+(?:\.\d+)?(?:E[+-]?\d+)?$/;
const DATE = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * Every BSON value whose JSON, by {@link bsonJson}, is this value. Numbers that a double
 * does not keep, dates and identifiers are strings in JSON.
 */
export function storedForms(value: string | number | boolean): StoredForms {
  if (typeof value === "boolean") return { values: [value], types: [] };
  if (typeof value === "number") return { values: [value, ...decimals(String(value))], types: [] };
  const values: unknown[] = [value, new Code(value)];
  if (OBJECT_ID.test(value)) values.push(ObjectId.createFromHexString(value));
  if (UUID_TEXT.test(value)) values.push(new UUID(value));
  if (DATE.test(value) && !Number.isNaN(Date.parse(value))) values.push(new Date(value));
  if (value === "NaN" || value.endsWith("Infinity")) values.push(...nonFinite(value));
  if (DECIMAL.test(value)) values.push(...decimals(value));
  if (value === "MinKey") values.push(new MinKey());
  if (value === "MaxKey") values.push(new MaxKey());
  // Binaries are equal only within their subtype, of which there are 256.
  return { values, types: BASE64.test(value) ? ["binData"] : [] };
}

function nonFinite(value: string): readonly unknown[] {
  const number = Number(value);
  return String(number) === value ? [number, ...decimals(value)] : [];
}

/** The decimal of a text; none for one that has too many digits for it. */
function decimals(text: string): readonly Decimal128[] {
  try {
    return [Decimal128.fromString(text)];
  } catch (error) {
    if (error instanceof BSON.BSONError) return [];
    throw error;
  }
}
