import { UnexpectedTextError } from "./unexpected-text.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const CLOSE_PARENTHESIS = 0x29;

/**
 * The values in the text of a composite value, as the server writes it: `(1,"a ""b""",,"")`. Nothing is NULL.
 *
 * @throws {UnexpectedTextError} also when there are more or fewer than `count`.
 */
export function compositeValues(text: string, count: number): readonly (string | null)[] {
  if (!text.startsWith("(")) throw new UnexpectedTextError("a composite value");
  const values: (string | null)[] = [];
  let index = 1;
  // Of no attributes there is also nothing between the parentheses.
  while (values.length < count) {
    const end = endOfValue(text, index);
    values.push(end === index ? null : unquoted(text.slice(index, end)));
    const separator = values.length < count ? COMMA : CLOSE_PARENTHESIS;
    if (text.charCodeAt(end) !== separator) throw new UnexpectedTextError("a composite value");
    index = end + 1;
  }
  if (count === 0 && text.charCodeAt(index) === CLOSE_PARENTHESIS) index += 1;
  if (index !== text.length || !text.endsWith(")")) throw new UnexpectedTextError("a composite value");
  return values;
}

/** @returns the place of the comma or parenthesis behind the value, which has none outside of quotes. */
function endOfValue(text: string, start: number): number {
  let index = start;
  if (text.charCodeAt(index) === QUOTE) {
    index += 1;
    for (;;) {
      const quote = text.indexOf('"', index);
      if (quote === -1) throw new UnexpectedTextError("a composite value");
      // A quote inside is doubled.
      if (text.charCodeAt(quote + 1) !== QUOTE) return quote + 1;
      index = quote + 2;
    }
  }
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (code === COMMA || code === CLOSE_PARENTHESIS) return index;
    index += 1;
  }
  throw new UnexpectedTextError("a composite value");
}

function unquoted(value: string): string {
  if (value.charCodeAt(0) !== QUOTE) return value;
  return value.slice(1, -1).replaceAll('""', '"').replaceAll("\\\\", "\\");
}
