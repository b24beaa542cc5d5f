import { RealtimeError } from "@paperdb/protocol";
import { tooLarge } from "./parse-context.ts";

/**
 * The value of a filter that came as JSON text, or as a value; known to be within the
 * bound, so that what follows takes bounded time whatever came.
 *
 * @throws {RealtimeError} `invalid_filter`, `filter_too_large`.
 */
export function readInput(input: unknown, origin: string, maxBytes: number): unknown {
  const isText = typeof input === "string";
  if (isText ? isLongerThan(input, maxBytes) : isLargerThan(input, maxBytes)) {
    throw tooLarge(
      `${origin} is larger than ${String(maxBytes)} bytes. Ask for less, or subscribe several times.`,
    );
  }
  if (!isText) return input;
  try {
    return JSON.parse(input);
  } catch (cause) {
    throw new RealtimeError(
      "invalid_filter",
      `${origin} is not JSON. Write an object such as {"status":"open"}, and encode it where it is part of a URL.`,
      { cause: cause instanceof SyntaxError ? undefined : cause },
    );
  }
}

function isLongerThan(text: string, maxBytes: number): boolean {
  return text.length > maxBytes || new TextEncoder().encode(text).length > maxBytes;
}

/** Stops as soon as it is known, so a value that contains itself ends too. Escapes in strings are not counted. */
function isLargerThan(input: unknown, maxBytes: number): boolean {
  const waiting: unknown[] = [input];
  let bytes = 0;
  while (waiting.length > 0) {
    const value = waiting.pop();
    bytes += 1;
    if (typeof value === "string") {
      if (isLongerThan(value, maxBytes)) return true;
      bytes += new TextEncoder().encode(value).length;
    } else if (Array.isArray(value)) {
      if (value.length > maxBytes) return true;
      for (const element of value) waiting.push(element);
    } else if (typeof value === "object" && value !== null) {
      const members: readonly [string, unknown][] = Object.entries(value);
      if (members.length > maxBytes) return true;
      for (const [name, inner] of members) waiting.push(name, inner);
    }
    if (bytes > maxBytes) return true;
  }
  return false;
}
