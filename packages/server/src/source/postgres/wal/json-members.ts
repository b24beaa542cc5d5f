const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/**
 * The members of a JSON object, each value as it is written: reading and writing it again
 * would change large numbers. The last of several of one name counts.
 *
 * @param text - valid JSON.
 * @returns no members for what is no object.
 */
export function jsonMembers(text: string): ReadonlyMap<string, string> {
  const members = new Map<string, string>();
  const trimmed = text.trim();
  if (!trimmed.startsWith("{")) return members;
  let depth = 0;
  let name: string | undefined;
  let start = 1;
  for (let index = 0; index < trimmed.length; index++) {
    const code = trimmed.charCodeAt(index);
    if (code === QUOTE) {
      index = endOfString(trimmed, index);
      continue;
    }
    if (OPENING.has(code)) depth += 1;
    else if (CLOSING.has(code)) depth -= 1;
    const isEnd = depth === 0 || (depth === 1 && code === COMMA);
    if (isEnd) {
      if (name !== undefined) members.set(name, trimmed.slice(start, index).trim());
      name = undefined;
      start = index + 1;
    } else if (depth === 1 && code === COLON) {
      name = String(JSON.parse(trimmed.slice(start, index)));
      start = index + 1;
    }
  }
  return members;
}

/** @returns the place of the closing quote. */
function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (text.charCodeAt(index) !== QUOTE) index += text.charCodeAt(index) === BACKSLASH ? 2 : 1;
  return index;
}
