import { RealtimeError } from "@paperdb/protocol";

/** The collection was changed while it was being set up. */
export function justChanged(collection: string): RealtimeError {
  return new RealtimeError("source_unavailable", `The collection "${collection}" just changed: try again.`, {
    retryAfterSeconds: 1,
  });
}
