import type { JsonText } from "@paperdb/protocol";
import { UnexpectedTextError } from "./unexpected-text.ts";

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const BACKSLASH = 0x5c;

/** PostgreSQL has no arrays of more dimensions. */
const MAX_DIMENSIONS = 6;

/**
 * The JSON of an array's text, as the server writes it: `{{1,NULL},{"a \"b\"",c}}`. What its subscripts begin with,
 * `[0:1]=`, is left out.
 *
 * @param delimiter - one character: the element type's `typdelim`.
 * @throws {UnexpectedTextError}
 */
export function arrayJson(
  text: string,
  delimiter: string,
  elementJson: (element: string) => JsonText,
): JsonText {
  const delimiterCode = delimiter.charCodeAt(0);
  let index = text.startsWith("[") ? text.indexOf("=") + 1 : 0;

  const element = (): JsonText => {
    if (text.charCodeAt(index) === QUOTE) {
      const start = index + 1;
      index = endOfQuoted(text, index);
      return elementJson(unescaped(text.slice(start, index - 1)));
    }
    const start = index;
    index = endOfBare(text, start, delimiterCode);
    const value = text.slice(start, index);
    return value === "NULL" ? "null" : elementJson(value);
  };

  const dimension = (depth: number): JsonText => {
    if (text.charCodeAt(index) !== OPEN_BRACE || depth > MAX_DIMENSIONS) {
      throw new UnexpectedTextError("an array");
    }
    index += 1;
    if (depth === 1 && text.charCodeAt(index) === CLOSE_BRACE) {
      index += 1;
      return "[]";
    }
    let json = "[";
    for (;;) {
      json += text.charCodeAt(index) === OPEN_BRACE ? dimension(depth + 1) : element();
      const code = text.charCodeAt(index);
      index += 1;
      if (code === CLOSE_BRACE) return `${json}]`;
      if (code !== delimiterCode) throw new UnexpectedTextError("an array");
      json += ",";
    }
  };

  const json = dimension(1);
  if (index !== text.length) throw new UnexpectedTextError("an array");
  return json;
}

/** @param start - at the opening quote. @returns the place after the closing one. */
function endOfQuoted(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) return index + 1;
    if (code === BACKSLASH) index += 1;
  }
  throw new UnexpectedTextError("an array");
}

/** @returns the place of the delimiter or brace behind an element; one that has such characters, or none, is quoted. */
function endOfBare(text: string, start: number, delimiterCode: number): number {
  let index = start;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (code === delimiterCode || code === CLOSE_BRACE) break;
    if (code === OPEN_BRACE || code === QUOTE || code === BACKSLASH)
      throw new UnexpectedTextError("an array");
    index += 1;
  }
  if (index === start || index === text.length) throw new UnexpectedTextError("an array");
  return index;
}

function unescaped(value: string): string {
  return value.includes("\\") ? value.replaceAll(/\\([\s\S])/g, "$1") : value;
}
