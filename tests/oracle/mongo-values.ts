import { Decimal128, Double, Int32, Long, ObjectId, type Document } from "mongodb";
import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { isExact } from "./exact-number.ts";
import type { Image, JsonDocument } from "./image.ts";
import type { CollectionPlan, PlannedValue } from "./plan.ts";

/** A planned value as BSON of its column's type. */
export function toBson(type: string, value: PlannedValue): unknown {
  if (typeof value === "object") return value;
  switch (type) {
    case "long":
      return Long.fromString(String(value));
    case "decimal":
      return Decimal128.fromString(String(value));
    case "double":
      return new Double(Number(value));
    case "int":
      return new Int32(Number(value));
    case "objectId":
      return ObjectId.createFromHexString(String(value));
    case "date":
      return new Date(String(value));
    default:
      return value;
  }
}

/** A value of a document as it is delivered. */
function toDelivered(value: unknown): JsonValue {
  if (value instanceof Long || value instanceof Decimal128) {
    const decimal = value.toString();
    return isExact(decimal) ? Number(decimal) : decimal;
  }
  if (value instanceof Double || value instanceof Int32) return value.valueOf();
  if (value instanceof ObjectId) return value.toHexString();
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(toDelivered);
  if (typeof value !== "object" || value === null) return value as JsonValue;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, toDelivered(inner)]));
}

/** An image of a document. */
export function imageOf({ tenantColumn }: CollectionPlan, stored: Document): Image {
  const document = toDelivered(stored) as JsonDocument;
  const { _id: id } = document;
  const tenant = document[tenantColumn];
  return {
    mark: Number(document["mark"]),
    documentId: typeof id === "string" ? id : JSON.stringify(id),
    tenant: typeof tenant === "string" ? tenant : null,
    document,
  };
}
