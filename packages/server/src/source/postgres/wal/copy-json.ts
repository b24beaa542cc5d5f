import { isExactNumber } from "../../exact-number.ts";
import type { JsonBytes } from "./json-bytes.ts";

const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
/** Makes a letter lower case. */
const CASE_BIT = 0x20;
const LOWER_E = 0x65;

/** Every decimal of so many digits survives a double. */
const ALWAYS_EXACT_DIGITS = 15;

/**
 * Writes JSON as PostgreSQL writes it, with the same changes as `documentJson` makes: numbers that a double would
 * change become strings, and whitespace between tokens goes. From bytes to bytes: most of a `jsonb` is short tokens
 * with blanks between them, which cost a string each otherwise.
 */
export function copyJson(output: JsonBytes, source: Buffer, start: number, end: number): void {
  let copiedTo = start;
  let index = start;
  while (index < end) {
    const byte = source[index] ?? 0;
    if (byte === QUOTE) {
      index = endOfString(source, index, end);
    } else if (byte === MINUS || (byte >= ZERO && byte <= NINE)) {
      const numberEnd = endOfNumber(source, index, end);
      if (!isExact(source, index, numberEnd)) {
        output.raw(source, copiedTo, index);
        output.plain(source, index, numberEnd);
        copiedTo = numberEnd;
      }
      index = numberEnd;
    } else if (byte <= SPACE) {
      output.raw(source, copiedTo, index);
      while (index < end && (source[index] ?? 0) <= SPACE) index++;
      copiedTo = index;
    } else {
      index++;
    }
  }
  output.raw(source, copiedTo, end);
}

/** @param start - at the opening quote. @returns the place after the closing one. */
function endOfString(source: Buffer, start: number, end: number): number {
  let index = start + 1;
  while (index < end) {
    const byte = source[index];
    if (byte === QUOTE) return index + 1;
    index += byte === BACKSLASH ? 2 : 1;
  }
  return end;
}

function endOfNumber(source: Buffer, start: number, end: number): number {
  let index = start + 1;
  while (index < end && isNumberPart(source[index] ?? 0)) index++;
  return index;
}

function isNumberPart(byte: number): boolean {
  if (byte >= ZERO && byte <= NINE) return true;
  return byte === POINT || byte === PLUS || byte === MINUS || isExponent(byte);
}

function isExact(source: Buffer, start: number, end: number): boolean {
  let isSure = end - start <= ALWAYS_EXACT_DIGITS;
  for (let index = start; index < end && isSure; index++) isSure = !isExponent(source[index] ?? 0);
  return isSure || isExactNumber(source.toString("latin1", start, end));
}

function isExponent(byte: number): boolean {
  return (byte | CASE_BIT) === LOWER_E;
}
