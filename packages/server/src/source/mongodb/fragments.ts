import { Int32 } from "mongodb";
import type { RawChange } from "./change.ts";
import { UnreadableEventError } from "./errors.ts";
import { valueAt } from "./tenant-value.ts";

/** Puts events together that `$changeStreamSplitLargeEvent` has split. */
export class Fragments {
  readonly #maxFragments: number;
  #parts: RawChange[] = [];

  constructor(maxFragments: number) {
    this.#maxFragments = maxFragments;
  }

  /** Whether a fragment is still to come. */
  get isPartial(): boolean {
    return this.#parts.length > 0;
  }

  /**
   * @returns the whole event; undefined until its last fragment is there.
   * @throws {UnreadableEventError} when a fragment is missing, or there are too many.
   */
  add(change: RawChange): RawChange | undefined {
    if (change.splitEvent === undefined) {
      if (this.isPartial) throw this.#broken();
      return change;
    }
    const { fragment, of } = numbers(change.splitEvent);
    if (fragment !== this.#parts.length + 1 || of > this.#maxFragments) throw this.#broken();
    this.#parts.push(change);
    if (fragment < of) return undefined;
    const whole = this.#parts.reduce<RawChange>((sum, part) => Object.assign(sum, part), {});
    this.#parts = [];
    return whole;
  }

  #broken(): UnreadableEventError {
    this.#parts = [];
    return new UnreadableEventError("An event arrived in fragments that make no whole.");
  }
}

function numbers(splitEvent: unknown): { readonly fragment: number; readonly of: number } {
  return { fragment: member(splitEvent, "fragment"), of: member(splitEvent, "of") };
}

function member(splitEvent: unknown, name: string): number {
  const value = valueAt(splitEvent, [name]);
  return value instanceof Int32 ? value.value : Number(value);
}
