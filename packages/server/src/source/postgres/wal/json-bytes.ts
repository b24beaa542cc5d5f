import { isExactNumber } from "../../exact-number.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const PLUS = 0x2b;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const LOWER_E = 0x65;
const LOWER_U = 0x75;
const UPPER_T = 0x54;

/** Every decimal of so many digits survives a double. */
const ALWAYS_EXACT_DIGITS = 15;

const INITIAL_BYTES = 4_096;
/** A larger buffer is given back after the document that needed it. */
const MAX_KEPT_BYTES = 1024 * 1024;

/** Byte → 0 when a JSON string may have it as it is, the letter behind the backslash, or `u`. */
const ESCAPES = new Uint8Array(256);
ESCAPES.fill(LOWER_U, 0, SPACE);
for (const [byte, letter] of ['""', "\\\\", "\bb", "\ff", "\nn", "\rr", "\tt"]) {
  ESCAPES[byte?.charCodeAt(0) ?? 0] = letter?.charCodeAt(0) ?? 0;
}
const HEX = Buffer.from("0123456789abcdef");
const UTC_MINUTES = Buffer.from(":00");

/**
 * Writes a JSON text as bytes, from values as the replication stream has them. One conversion to a string at the
 * end costs less than one for each value.
 */
export class JsonBytes {
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;
  /** All bytes so far, or-ed: below 128 it is ASCII. */
  #seen = 0;

  /** How many bytes were written. */
  get length(): number {
    return this.#length;
  }

  /** Whether each byte that was written is a character of what {@link take} returns. */
  get isAscii(): boolean {
    return this.#seen < 0x80;
  }

  /** What was written since the last call. */
  take(): string {
    const text = this.#bytes.toString(this.isAscii ? "latin1" : "utf8", 0, this.#length);
    this.#length = 0;
    this.#seen = 0;
    if (this.#bytes.length > MAX_KEPT_BYTES) this.#bytes = Buffer.allocUnsafe(INITIAL_BYTES);
    return text;
  }

  /** Forgets what was written. */
  clear(): void {
    this.#length = 0;
    this.#seen = 0;
  }

  /** Bytes as they are. */
  raw(source: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    const target = this.#bytes;
    let length = this.#length;
    let seen = this.#seen;
    for (let index = start; index < end; index++) {
      const byte = source[index] ?? 0;
      seen |= byte;
      target[length++] = byte;
    }
    this.#length = length;
    this.#seen = seen;
  }

  /** A string of characters that need no escape. */
  plain(source: Uint8Array, start: number, end: number): void {
    this.#byte(QUOTE);
    this.raw(source, start, end);
    this.#byte(QUOTE);
  }

  /** A string, escaped where it has to be, as PostgreSQL does. */
  string(source: Uint8Array, start: number, end: number): void {
    // There is always room for what is left without escapes, and the closing quote.
    this.#reserve(end - start + 2);
    let target = this.#bytes;
    let length = this.#length;
    let seen = this.#seen;
    target[length++] = QUOTE;
    for (let index = start; index < end; index++) {
      const byte = source[index] ?? 0;
      const escape = ESCAPES[byte] ?? 0;
      if (escape === 0) {
        seen |= byte;
        target[length++] = byte;
        continue;
      }
      this.#length = length;
      this.#reserve(6 + end - index);
      target = this.#bytes;
      target[length++] = BACKSLASH;
      target[length++] = escape;
      if (escape === LOWER_U) {
        target[length++] = ZERO;
        target[length++] = ZERO;
        target[length++] = HEX[byte >> 4] ?? 0;
        target[length++] = HEX[byte & 15] ?? 0;
      }
    }
    target[length++] = QUOTE;
    this.#length = length;
    this.#seen = seen;
  }

  /** A number where a double holds it exactly, else a string, as of `NaN`. */
  number(source: Buffer, start: number, end: number): void {
    const first = source[start] === MINUS ? source[start + 1] : source[start];
    const isNumber = first !== undefined && first >= ZERO && first <= NINE;
    if (isNumber && isSurelyExact(source, start, end)) this.raw(source, start, end);
    else if (isNumber && isExactNumber(source.toString("latin1", start, end))) this.raw(source, start, end);
    else this.plain(source, start, end);
  }

  /** A timestamp in ISO 8601, of a text with a blank and, where the zone is shown, `+00`; or `infinity`. */
  timestamp(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start + 2 + UTC_MINUTES.length);
    const target = this.#bytes;
    let length = this.#length;
    let isDate = true;
    let zoneEnd = -1;
    target[length++] = QUOTE;
    for (let index = start; index < end; index++) {
      const byte = source[index] ?? 0;
      if (byte === SPACE && isDate) {
        isDate = false;
        target[length++] = UPPER_T;
        continue;
      }
      target[length++] = byte;
      if (byte === PLUS) zoneEnd = index + 2;
      else if (index === zoneEnd) length += UTC_MINUTES.copy(target, length);
    }
    target[length++] = QUOTE;
    this.#length = length;
  }

  /** JSON that is made already. */
  json(text: string): void {
    this.#reserve(text.length * 3);
    const written = this.#bytes.write(text, this.#length, "utf8");
    if (written !== text.length) this.#seen |= 0x80;
    this.#length += written;
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

function isSurelyExact(source: Buffer, start: number, end: number): boolean {
  if (end - start > ALWAYS_EXACT_DIGITS) return false;
  for (let index = start; index < end; index++) if (source[index] === LOWER_E) return false;
  return true;
}
