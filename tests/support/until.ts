import { setTimeout as delay } from "node:timers/promises";

/** How long {@link until} waits, and for what. */
export interface UntilOptions {
  /** Default 60,000: only a failure takes so long, and a busy machine may need it. */
  readonly timeoutMs?: number;
  /** Default 20. */
  readonly intervalMs?: number;
  /** Ends the sentence "Not within … ms: …"; called late, so that it can say what was seen instead. */
  readonly describe?: string | (() => string);
}

/** What a condition gives: the value, or that it does not hold yet. */
type Outcome<T> = T | undefined | null | false;

/**
 * Polls until the condition gives something other than undefined, null or false, and resolves with it.
 *
 * @throws when the time is up; what the condition itself throws is not caught.
 */
export async function until<T>(
  condition: () => Outcome<T> | Promise<Outcome<T>>,
  { timeoutMs = 60_000, intervalMs = 20, describe = "the condition" }: UntilOptions = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) {
      return value;
    }
    if (Date.now() > deadline) {
      const what = typeof describe === "string" ? describe : describe();
      throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    }
    await delay(intervalMs);
  }
}
