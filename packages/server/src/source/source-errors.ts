import { RealtimeError } from "@paperdb/protocol";
import type { SourceState } from "./change-source.ts";

/** Asked before it is live, or after. */
export function notLive(source: string, state: SourceState & { readonly live: false }): RealtimeError {
  return new RealtimeError("source_unavailable", `The source "${source}" is not live: ${state.reason}`, {
    retryAfterSeconds: Math.max(1, Math.ceil(state.retryAfterMs / 1_000)),
  });
}

/** The database did not do what it was asked for. */
export function cannotBeAsked(source: string, cause: unknown): RealtimeError {
  return new RealtimeError(
    "source_unavailable",
    `The source "${source}" cannot be asked at the moment: try again.`,
    { cause, retryAfterSeconds: 1 },
  );
}
