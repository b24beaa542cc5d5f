import type { Logger } from "pino";
import { TimeLimitError, within } from "../timing/within.ts";

/** Waits for a source to end, but not for ever: what hangs is left behind. */
export async function endInTime(limitMs: number, ended: Promise<unknown>, log: Logger): Promise<void> {
  try {
    await within(limitMs, ended);
  } catch (error) {
    if (!(error instanceof TimeLimitError)) throw error;
    log.warn("The source did not end in time, and is left behind");
  }
}
