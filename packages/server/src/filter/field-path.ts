import { isObject, member } from "./json-value.ts";
import type { JsonObject, JsonValue } from "./json-value.ts";

/** The names of a path, outermost first: `a.b` is `["a", "b"]`. */
export type FieldPath = readonly string[];

/** Decides about one value; undefined stands for a missing one. */
export type ValueTest = (value: JsonValue | undefined) => boolean;

const INDEX = /^(?:0|[1-9]\d{0,9})$/;

/**
 * Whether one of the values that a path stands for passes. As in MongoDB these are:
 * the member; of an array also its elements; where an array lies on the way, what the
 * rest of the path stands for in its objects, and in the element that the next name is
 * the index of. Where a member is missing, that counts as one value, undefined.
 */
export function compilePath(path: FieldPath, test: ValueTest): (document: JsonValue) => boolean {
  const [name = ""] = path;
  if (path.length > 1) return (document) => isObject(document) && someInObject(path, 0, document, test);
  return (document) => isObject(document) && someAtLeaf(member(document, name), test);
}

function someInObject(path: FieldPath, from: number, object: JsonObject, test: ValueTest): boolean {
  let current = object;
  for (let place = from; place < path.length - 1; place++) {
    const value = member(current, path[place] ?? "");
    if (Array.isArray(value)) return someInArray(path, place + 1, value, test);
    if (!isObject(value)) return test(undefined);
    current = value;
  }
  return someAtLeaf(member(current, path.at(-1) ?? ""), test);
}

function someAtLeaf(value: JsonValue | undefined, test: ValueTest): boolean {
  if (Array.isArray(value)) {
    const elements: readonly JsonValue[] = value;
    for (const element of elements) if (test(element)) return true;
  }
  return test(value);
}

/** @param place - of the first name that the array's elements are looked up by. */
function someInArray(path: FieldPath, place: number, array: readonly JsonValue[], test: ValueTest): boolean {
  for (const element of array) {
    if (isObject(element) && someInObject(path, place, element, test)) return true;
  }
  const name = path[place] ?? "";
  if (!INDEX.test(name) || Number(name) >= array.length) return false;
  const element = array[Number(name)];
  if (place === path.length - 1) return test(element);
  if (Array.isArray(element)) return someInArray(path, place + 1, element, test);
  return isObject(element) && someInObject(path, place + 1, element, test);
}
