const BEGINNING = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d))?/;
const DAY_LENGTH = "2026-01-02".length;
const SECOND_LENGTH = "2026-01-02T03:04:05".length;
const DAY_MS = 86_400_000;
const SECOND_MS = 1000;

/** Four digits, so that the order of texts is that of times; and the next day's year has four too. */
const MIN_YEAR = 1000;
const MAX_YEAR = 9998;

/**
 * Between which times every delivered text lies that begins as a given one: `floor`
 * included, `ceiling` not; `2026-01-02T03:04:05`, without zone.
 */
export interface DateBounds {
  readonly precision: "day" | "second";
  readonly floor: string;
  readonly ceiling: string;
  /** What follows in the given text. */
  readonly rest: string;
}

/** @returns undefined for a text that does not begin with a day that there is. */
export function dateBounds(text: string): DateBounds | undefined {
  const parts = BEGINNING.exec(text);
  if (parts === null) return undefined;
  const [year = 0, month = 0, day = 0, ...time] = parts.slice(1).map((part) => Number(part));
  if (year < MIN_YEAR || year > MAX_YEAR) return undefined;
  const midnight = Date.UTC(year, month - 1, day);
  if (secondText(midnight).slice(0, DAY_LENGTH) !== text.slice(0, DAY_LENGTH)) return undefined;
  const [hour = 0, minute = 0, second = 0] = time;
  const moment = Date.UTC(year, month - 1, day, hour, minute, second);
  // An hour that there is not makes another text.
  if (secondText(moment) === text.slice(0, SECOND_LENGTH)) {
    return bounds("second", moment, SECOND_MS, text.slice(SECOND_LENGTH));
  }
  return bounds("day", midnight, DAY_MS, text.slice(DAY_LENGTH));
}

function bounds(precision: "day" | "second", floorMs: number, lengthMs: number, rest: string): DateBounds {
  return { precision, floor: secondText(floorMs), ceiling: secondText(floorMs + lengthMs), rest };
}

/** @param ms - since 1970; NaN for a time that does not exist. */
function secondText(ms: number): string {
  return Number.isNaN(ms) ? "" : new Date(ms).toISOString().slice(0, SECOND_LENGTH);
}
