import { UnexpectedTextError } from "./unexpected-text.ts";

const BACKSLASH = "\\";

/**
 * The pairs of an hstore's text, in its order: `"a"=>"1", "b"=>NULL`.
 *
 * @throws {UnexpectedTextError}
 */
export function hstorePairs(text: string): readonly (readonly [key: string, value: string | null])[] {
  const pairs: [string, string | null][] = [];
  let index = 0;

  const expect = (token: string): void => {
    if (!text.startsWith(token, index)) throw new UnexpectedTextError("an hstore");
    index += token.length;
  };

  const quoted = (): string => {
    expect('"');
    let value = "";
    let copiedTo = index;
    while (index < text.length && text[index] !== '"') {
      if (text[index] === BACKSLASH) {
        value += text.slice(copiedTo, index);
        index += 1;
        copiedTo = index;
      }
      index += 1;
    }
    value += text.slice(copiedTo, index);
    expect('"');
    return value;
  };

  while (index < text.length) {
    if (pairs.length > 0) expect(", ");
    const key = quoted();
    expect("=>");
    if (text[index] === '"') {
      pairs.push([key, quoted()]);
    } else {
      expect("NULL");
      pairs.push([key, null]);
    }
  }
  return pairs;
}
