import { Binary, Decimal128, Double, Int32, Long, ObjectId, UUID } from "mongodb";

const INTEGER = /^(?:0|-?[1-9]\d{0,18})$/;
const OBJECT_ID = /^[0-9a-f]{24}$/;
const UUID_TEXT = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A value as `$match` takes it. */
export type BsonValue = string | Long | Double | ObjectId | UUID;

/** Every BSON value whose text form is the tenant's. A number stands for its equals of other number types. */
export function tenantForms(tenant: string): readonly BsonValue[] {
  const forms: BsonValue[] = [tenant];
  if (INTEGER.test(tenant)) {
    const long = Long.fromString(tenant);
    if (long.toString() === tenant) forms.push(long);
  } else if (String(Number(tenant)) === tenant && Number.isFinite(Number(tenant))) {
    forms.push(new Double(Number(tenant)));
  }
  if (OBJECT_ID.test(tenant)) forms.push(ObjectId.createFromHexString(tenant));
  if (UUID_TEXT.test(tenant)) forms.push(new UUID(tenant));
  return forms;
}

/** The text form of a tenant field's value; undefined where it can name no tenant. */
export function tenantText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number") return numberText(value);
  if (value instanceof Int32) return String(value.value);
  if (value instanceof Double) return numberText(value.value);
  if (value instanceof Long || value instanceof Decimal128) return value.toString();
  if (value instanceof ObjectId) return value.toHexString();
  if (value instanceof Binary && value.sub_type === Binary.SUBTYPE_UUID && value.length() === UUID_BYTES) {
    return value.toUUID().toHexString();
  }
  return undefined;
}

const UUID_BYTES = 16;

/** The value at a path of fields; arrays are not entered. */
export function valueAt(document: unknown, path: readonly string[]): unknown {
  let value = document;
  for (const name of path) {
    if (!isPlainObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** Whether it is an embedded document, and no BSON value's class. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function numberText(value: number): string | undefined {
  return Number.isFinite(value) ? String(value) : undefined;
}
