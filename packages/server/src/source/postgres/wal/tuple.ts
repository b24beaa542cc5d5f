import type { ByteReader } from "./byte-reader.ts";

/** Kinds of values in a tuple. */
export const NULL_VALUE = 0x6e; // n
export const UNCHANGED_TOAST = 0x75; // u
export const TEXT_VALUE = 0x74; // t

/**
 * The values of one row: a view of the message that they came in, so it holds no longer than that message's bytes.
 * From `start`, for each column of the relation: its kind, and of a text value its length in four bytes and its bytes.
 */
export interface Tuple {
  readonly bytes: Buffer;
  readonly start: number;
  /** Whether it has all columns; a tuple of the identity has NULL in place of the others. */
  readonly complete: boolean;
}

/** Reads over a tuple, which makes sure that everything in it is where it has to be. */
export function readTuple(reader: ByteReader, columns: number, complete: boolean): Tuple {
  const count = reader.uint16();
  if (count !== columns) {
    throw reader.error(`a row has ${String(count)} columns, its table ${String(columns)}`);
  }
  const { bytes, offset: start } = reader;
  const end = bytes.length;
  let offset = start;
  for (let left = columns; left > 0; left--) {
    if (offset >= end) throw reader.error(`${String(left)} columns of a row are missing`);
    const kind = bytes[offset];
    if (kind === NULL_VALUE || kind === UNCHANGED_TOAST) {
      offset += 1;
    } else if (kind === TEXT_VALUE) {
      const length = offset + 5 <= end ? valueLength(bytes, offset) : -1;
      offset += 5 + length;
      if (length < 0 || offset > end) throw reader.error("a value does not end in the message");
    } else {
      throw reader.error(`a value is of the unknown kind ${String(kind)}`);
    }
  }
  reader.offset = offset;
  return { bytes, start, complete };
}

/** @param offset - of a text value's kind. */
export function valueLength(bytes: Buffer, offset: number): number {
  // Not readInt32BE: this is done for every value, in a tuple that was checked.
  return (
    ((bytes[offset + 1] ?? 0) << 24) |
    ((bytes[offset + 2] ?? 0) << 16) |
    ((bytes[offset + 3] ?? 0) << 8) |
    (bytes[offset + 4] ?? 0)
  );
}

/** @param offset - of a value's kind. @returns of the next one. */
export function nextValue(bytes: Buffer, offset: number): number {
  return bytes[offset] === TEXT_VALUE ? offset + 5 + valueLength(bytes, offset) : offset + 1;
}

/** Where the value of a column is. */
export function findValue(tuple: Tuple, column: number): number {
  let offset = tuple.start;
  for (let left = column; left > 0; left--) offset = nextValue(tuple.bytes, offset);
  return offset;
}

/** Longer values are compared by the runtime; for others the call would cost more than the work. */
const MAX_COMPARED_HERE = 48;

/** Whether the values at two places are the same bytes. */
export function isSameValue(left: Buffer, leftOffset: number, right: Buffer, rightOffset: number): boolean {
  const leftEnd = nextValue(left, leftOffset);
  const length = leftEnd - leftOffset;
  const rightEnd = nextValue(right, rightOffset);
  if (rightEnd - rightOffset !== length) return false;
  if (length > MAX_COMPARED_HERE)
    return left.compare(right, rightOffset, rightEnd, leftOffset, leftEnd) === 0;
  for (let index = 0; index < length; index++) {
    if (left[leftOffset + index] !== right[rightOffset + index]) return false;
  }
  return true;
}
