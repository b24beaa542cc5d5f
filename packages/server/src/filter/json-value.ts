/** A JSON value that is neither an object nor an array. */
export type JsonScalar = string | number | boolean | null;

/** What `JSON.parse` returns. */
export type JsonValue = JsonScalar | readonly JsonValue[] | JsonObject;

/** A JSON object; its members are own properties, whatever their names. */
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

export function isScalar(value: JsonValue): value is JsonScalar {
  return value === null || typeof value !== "object";
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A member that the object itself has; `constructor` and the like are members only where the JSON names them. */
export function member(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Whether two values are the same JSON: members in any order, elements in theirs. As deep as the first value. */
export function equalJson(left: JsonValue, right: JsonValue | undefined): boolean {
  if (right === undefined) return false;
  if (isScalar(left)) return left === right;
  if (Array.isArray(left)) {
    const elements: readonly JsonValue[] = left;
    if (!Array.isArray(right) || right.length !== elements.length) return false;
    const others: readonly JsonValue[] = right;
    return elements.every((element, index) => equalJson(element, others[index]));
  }
  if (!isObject(right) || !isObject(left)) return false;
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => equalJson(left[name] ?? null, member(right, name)))
  );
}

const FIRST_SURROGATE = 0xd800;
const FIRST_AFTER_SURROGATES = 0xe000;
const SURROGATES = 0x800;
const AFTER_SURROGATES = 0x2000;

/**
 * Orders strings by code point, as `COLLATE "C"` and MongoDB do; `<` of JavaScript
 * puts what lies outside the basic plane before U+E000.
 *
 * @returns negative, 0 or positive.
 */
export function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const one = left.charCodeAt(index);
    const other = right.charCodeAt(index);
    if (one !== other) return rank(one) - rank(other);
  }
  return left.length - right.length;
}

/** Surrogates, which stand for what is outside the basic plane, change places with the units after them. */
function rank(unit: number): number {
  if (unit < FIRST_SURROGATE) return unit;
  return unit < FIRST_AFTER_SURROGATES ? unit + AFTER_SURROGATES : unit - SURROGATES;
}
