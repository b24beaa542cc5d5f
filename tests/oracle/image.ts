import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { hiddenOf } from "./hidden-columns.ts";
import type { CollectionPlan } from "./plan.ts";

/** A document as JSON. */
export type JsonDocument = Readonly<Record<string, JsonValue>>;

/** A document as it was after one write, hidden columns included. */
export interface Image {
  /** Unique to the write. */
  readonly mark: number;
  readonly documentId: string;
  readonly tenant: string | null;
  readonly document: JsonDocument;
}

/** What subscribers may see of an image. */
export function shownOf(collection: CollectionPlan, image: Image): JsonDocument {
  const hidden = new Set(hiddenOf(collection));
  return Object.fromEntries(Object.entries(image.document).filter(([name]) => !hidden.has(name)));
}

/** The same JSON, whatever the order of members. */
export function isSameJson(left: unknown, right: unknown): boolean {
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) {
    return Object.is(left, right) || (left === 0 && right === 0);
  }
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const members = Object.entries(left);
  const others = right as Readonly<Record<string, unknown>>;
  if (members.length !== Object.keys(others).length) return false;
  return members.every(([name, value]) => Object.hasOwn(others, name) && isSameJson(value, others[name]));
}
