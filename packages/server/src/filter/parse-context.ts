import { RealtimeError } from "@paperdb/protocol";
import type { FilterLimits } from "./filter-limits.ts";

/** Names that are plain enough for a sentence. */
const PLAIN_NAME = /^[\w$.-]{1,60}$/;
const MAX_NAME_LENGTH = 60;

/** A place in a filter, and how a person would write it. */
export class ParsePlace {
  readonly text: string;
  /** Levels around it. */
  readonly depth: number;
  readonly budget: TermBudget;

  constructor(text: string, depth: number, budget: TermBudget) {
    this.text = text;
    this.depth = depth;
    this.budget = budget;
  }

  /** A member of the value here. */
  member(name: string): ParsePlace {
    const shown = PLAIN_NAME.test(name) ? `.${name}` : `[${JSON.stringify(name.slice(0, MAX_NAME_LENGTH))}]`;
    return new ParsePlace(this.text + shown, this.depth, this.budget);
  }

  element(index: number): ParsePlace {
    return new ParsePlace(`${this.text}[${String(index)}]`, this.depth, this.budget);
  }

  /** The same place, one level further in. @throws {RealtimeError} `filter_too_large`. */
  inside(): ParsePlace {
    const { maxDepth } = this.budget.limits;
    if (this.depth >= maxDepth) {
      throw tooLarge(
        `${this.text} is nested more than ${String(maxDepth)} levels deep. Write the filter flatter: conditions side by side in one object are and-ed.`,
      );
    }
    return new ParsePlace(this.text, this.depth + 1, this.budget);
  }

  /** @param sentence - goes on after the place, and says what to write instead. */
  invalid(sentence: string): RealtimeError {
    return new RealtimeError("invalid_filter", `${this.text} ${sentence}`);
  }
}

/** Counts the comparisons of one filter. */
export class TermBudget {
  readonly limits: FilterLimits;
  readonly #origin: string;
  #used = 0;

  constructor(limits: FilterLimits, origin: string) {
    this.limits = limits;
    this.#origin = origin;
  }

  /** @throws {RealtimeError} `filter_too_large`. */
  take(count: number): void {
    this.#used += count;
    if (this.#used > this.limits.maxTerms) {
      throw tooLarge(
        `${this.#origin} has more than ${String(this.limits.maxTerms)} conditions; each value of $in and $nin counts as one. Ask for fewer, or subscribe several times.`,
      );
    }
  }
}

export function tooLarge(sentence: string): RealtimeError {
  return new RealtimeError("filter_too_large", sentence);
}
