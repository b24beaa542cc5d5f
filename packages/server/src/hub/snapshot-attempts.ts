import { RealtimeError } from "@paperdb/protocol";
import { SnapshotGivenUpError, SnapshotOverrunError } from "../snapshot/snapshot-reading.ts";
import { backoffMs } from "../timing/backoff.ts";

/** Why a snapshot has to be taken again: a word or two for the client. */
export class VoidSnapshotError extends Error {
  override readonly name: string = "VoidSnapshotError";
}

/** The history has forgotten what a snapshot that was being sent needs. */
export class OvertakenSnapshotError extends VoidSnapshotError {
  override readonly name = "OvertakenSnapshotError";

  constructor() {
    super("history_too_short");
  }
}

/** With the pauses between them, a source may be away for a quarter of a minute. */
const MAX_ATTEMPTS = 20;
/** So often a snapshot is read in vain because the history is too short. */
const MAX_OVERTAKEN = 3;
/** What another attempt may spare the client. */
const AGAIN = [VoidSnapshotError, SnapshotOverrunError, SnapshotGivenUpError];
const PAUSE_LIMITS = { minMs: 20, maxMs: 1_000 };

/** How often a subscription's snapshot was begun, and whether it is worth to begin again. */
export class SnapshotAttempts {
  /** Whether one of them was in the way of others that shared it. */
  heldUpOthers = false;
  readonly #collection: string;
  #failures = 0;
  #overtaken = 0;

  constructor(collection: string) {
    this.#collection = collection;
  }

  /** How long to wait before the next one. */
  get pauseMs(): number {
    return backoffMs(this.#failures, PAUSE_LIMITS);
  }

  /** One has failed. @returns why there is not to be another one; undefined when there is. */
  failed(error: unknown): RealtimeError | undefined {
    this.#failures += 1;
    if (error instanceof SnapshotOverrunError) this.heldUpOthers = true;
    if (error instanceof OvertakenSnapshotError) {
      this.#overtaken += 1;
      return this.#overtaken < MAX_OVERTAKEN ? undefined : this.#tooShort();
    }
    const isPassing = error instanceof RealtimeError && error.retryable;
    const isAgain = isPassing || AGAIN.some((kind) => error instanceof kind);
    return isAgain && this.#failures < MAX_ATTEMPTS ? undefined : failureOf(error);
  }

  #tooShort(): RealtimeError {
    return new RealtimeError(
      "source_unavailable",
      `The collection "${this.#collection}" changes faster than its history is long while a snapshot of it is sent: ask for less by a filter, or raise history.maxEventsPerChannel, history.maxBytesPerChannel or history.maxAgeMs.`,
      { retryAfterSeconds: 30 },
    );
  }
}

/** What the client is told that holds something of a snapshot that has failed. */
export function resetReasonOf(error: unknown): string {
  return error instanceof VoidSnapshotError ? error.message : "snapshot_interrupted";
}

function failureOf(error: unknown): RealtimeError {
  if (error instanceof RealtimeError) return error;
  const detail = "A snapshot could not be completed: try again.";
  return new RealtimeError("source_unavailable", detail, { cause: error, retryAfterSeconds: 1 });
}
