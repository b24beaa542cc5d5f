import type { JsonText } from "@paperdb/protocol";
import { documentJson } from "../../document-json.ts";
import { isExactNumber } from "../../exact-number.ts";
import { arrayJson } from "./array-text.ts";
import { compositeValues } from "./composite-text.ts";
import { hstorePairs } from "./hstore-text.ts";
import { UnexpectedTextError } from "./unexpected-text.ts";
import type { TextCast, ValueType } from "./value-type.ts";

const NUMBER = /^-?[0-9]/;

/**
 * The JSON of a value, of the text that its type writes under the session settings of the stream.
 *
 * @throws {UnexpectedTextError} the text is not of this type.
 */
export function valueJson(type: ValueType, text: string): JsonText {
  switch (type.kind) {
    case "integer":
      return text;
    case "number":
      return NUMBER.test(text) && isExactNumber(text) ? text : `"${text}"`;
    case "boolean":
      return text === "t" ? "true" : "false";
    case "plain":
      return `"${text}"`;
    case "string":
      return JSON.stringify(text);
    case "timestamp":
    case "timestamptz":
      return `"${isoTimestamp(text)}"`;
    case "json":
      return documentJson(text);
    case "hstore":
      return hstoreJson(text);
    case "vector":
      return vectorJson(type.element, text);
    case "array":
      return arrayJson(text, type.delimiter, (element) => valueJson(type.element, element));
    case "composite":
      return compositeJson(type, text);
    case "unsupported":
      throw new UnexpectedTextError("a value of an unsupported type");
  }
}

/** `value::text` of the text that its type writes. */
export function castToText(cast: TextCast, text: string): string {
  switch (cast) {
    case "same":
      return text;
    case "boolean":
      return text === "t" ? "true" : "false";
    case "trimmed":
      return text.replace(/ +$/, "");
    case "netmask":
      if (text.includes("/")) return text;
      return `${text}/${text.includes(":") ? "128" : "32"}`;
    case "unsupported":
      throw new UnexpectedTextError("a value of an unsupported type");
  }
}

/** Of a text with a blank between date and time and, where the zone is shown, `+00`. */
function isoTimestamp(text: string): string {
  return text.replace(" ", "T").replace("+00", "+00:00");
}

function vectorJson(element: ValueType, text: string): JsonText {
  const values = text === "" ? [] : text.split(" ");
  return `[${values.map((value) => valueJson(element, value)).join()}]`;
}

function hstoreJson(text: string): JsonText {
  const members = hstorePairs(text).map(
    ([key, value]) => `${JSON.stringify(key)}:${value === null ? "null" : JSON.stringify(value)}`,
  );
  return `{${members.join()}}`;
}

function compositeJson({ fields }: Extract<ValueType, { kind: "composite" }>, text: string): JsonText {
  const values = compositeValues(text, fields.length);
  const members = fields.map(({ name, type }, index) => {
    const value = values[index] ?? null;
    return `${JSON.stringify(name)}:${value === null ? "null" : valueJson(type, value)}`;
  });
  return `{${members.join()}}`;
}
