import type { JsonText } from "@paperdb/protocol";
import { isExactNumber } from "./exact-number.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACE = 0x20;

/** Every decimal of so many digits survives a double. */
const ALWAYS_EXACT_DIGITS = 15;

const NOTHING_HIDDEN: ReadonlySet<string> = new Set();

/**
 * Makes the JSON that PostgreSQL writes the JSON that clients get, in one pass over
 * the text: numbers that a double would change become strings, whitespace between
 * tokens goes (so that the result is one line), and hidden top-level members go.
 *
 * @param text - valid JSON, as `row_to_json` writes it.
 * @param hidden - names of members of the outermost object.
 */
export function documentJson(
  text: string,
  hidden: Pick<ReadonlySet<string>, "has" | "size"> = NOTHING_HIDDEN,
): JsonText {
  let output = "";
  let copiedTo = 0;
  let depth = 0;
  let atKey = false;
  let index = 0;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      const end = endOfString(text, index);
      if (atKey && hidden.has(stringValue(text, index, end))) {
        output += text.slice(copiedTo, index);
        const memberEnd = endOfMember(text, end);
        if (text.charCodeAt(memberEnd) === COMMA) {
          index = memberEnd + 1;
        } else {
          index = memberEnd;
          if (output.endsWith(",")) output = output.slice(0, -1);
        }
        copiedTo = index;
        continue;
      }
      atKey = false;
      index = end;
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const end = endOfNumber(text, index);
      if (end - index > ALWAYS_EXACT_DIGITS || hasExponent(text, index, end)) {
        const token = text.slice(index, end);
        if (!isExactNumber(token)) {
          output += `${text.slice(copiedTo, index)}"${token}"`;
          copiedTo = end;
        }
      }
      index = end;
    } else if (code <= SPACE) {
      output += text.slice(copiedTo, index);
      while (index < text.length && text.charCodeAt(index) <= SPACE) index++;
      copiedTo = index;
    } else {
      if (code === OPEN_BRACE) {
        depth++;
        atKey = depth === 1 && hidden.size > 0;
      } else if (code === OPEN_BRACKET) depth++;
      else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
      else if (code === COMMA) atKey = depth === 1 && hidden.size > 0;
      index++;
    }
  }
  return copiedTo === 0 ? text : output + text.slice(copiedTo);
}

/** @param start - at the opening quote. @returns the place after the closing one. */
function endOfString(text: string, start: number): number {
  let from = start + 1;
  for (;;) {
    const quote = text.indexOf('"', from);
    if (quote === -1) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    from = quote + 1;
  }
}

function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && isNumberPart(text.charCodeAt(end))) end++;
  return end;
}

function isNumberPart(code: number): boolean {
  return (
    (code >= ZERO && code <= NINE) ||
    code === 0x2e || // .
    code === 0x65 || // e
    code === 0x45 || // E
    code === 0x2b || // +
    code === MINUS
  );
}

function hasExponent(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x65 || code === 0x45) return true;
  }
  return false;
}

function stringValue(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  return inner.includes("\\") ? String(JSON.parse(text.slice(start, end))) : inner;
}

/** @param from - after a key at depth 1. @returns the place of the comma or brace that ends its member. */
function endOfMember(text: string, from: number): number {
  let depth = 1;
  let index = from;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      index = endOfString(text, index);
      continue;
    }
    if (code === COMMA && depth === 1) return index;
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
      if (depth === 0) return index;
    }
    index++;
  }
  return index;
}
