import { IncompleteRowError } from "./incomplete-row-error.ts";
import { findValue, UNCHANGED_TOAST } from "./tuple.ts";
import type { Tuple } from "./tuple.ts";
import { UnexpectedTextError } from "./unexpected-text.ts";

/** Where a value is, at its kind. */
interface ValuePlace {
  readonly bytes: Buffer;
  readonly offset: number;
}

/** @throws {IncompleteRowError} the row has its identity only. */
export function requireComplete(row: Tuple): void {
  if (!row.complete) throw new IncompleteRowError("identity");
}

/** A value that an update left alone, in the row before. */
export function storedIn(index: number, old: Tuple | undefined): ValuePlace {
  if (old?.complete === true) {
    const offset = findValue(old, index);
    if (old.bytes[offset] !== UNCHANGED_TOAST) return { bytes: old.bytes, offset };
  }
  throw new IncompleteRowError("unchanged_toast");
}

/** A text that does not fit its type: the type was changed since it was looked up, or will be. */
export function guarded<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof UnexpectedTextError) throw new IncompleteRowError("type_changed", { cause: error });
    throw error;
  }
}
