import { Long, ObjectId, UUID } from "mongodb";

/** The text form of a document's tenant; undefined where the document belongs to nobody. */
export function tenantText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number" || value instanceof Long) return value.toString();
  if (value instanceof ObjectId) return value.toHexString();
  if (value instanceof UUID) return value.toString();
  return undefined;
}

/** The text form of an `_id` that is a string, a number, an ObjectId or an object of such. */
export function documentIdText(id: unknown): string {
  const text = tenantText(id);
  return text ?? JSON.stringify(id);
}
