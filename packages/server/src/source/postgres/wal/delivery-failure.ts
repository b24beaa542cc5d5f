import { RealtimeError } from "@paperdb/protocol";
import { IncompleteRowError } from "./incomplete-row-error.ts";

const MAX_LOGGED_FRAMES = 5;

/** Why a change could not be made an event, for the log. The text of an unexpected error may have data of the row. */
export function describeFailure(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof IncompleteRowError || error instanceof RealtimeError) return { reason: error.message };
  if (!(error instanceof Error)) return { reason: typeof error };
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /u.test(line));
  return { reason: error.name, at: frames.slice(0, MAX_LOGGED_FRAMES).map((line) => line.trim()) };
}
