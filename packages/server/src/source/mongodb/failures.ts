import { backoffMs } from "../../timing/backoff.ts";
import { classify, reasonOf } from "./errors.ts";
import type { ClusterTime } from "./position.ts";
import type { MongoSettings } from "./settings.ts";

/** Times that a failure of unknown kind is met at one place before what is there is skipped. */
const ATTEMPTS_AT_ONE_PLACE = 3;

/** What to do after a failure. */
export interface Recovery {
  /** Wait so long first. */
  readonly delayMs: number;
  /** Go on from now, and tell subscribers this reason; undefined: go on from the same place. */
  readonly lostReason: string | undefined;
}

/** Decides how a stream goes on after failures: always later, never for ever at one place. */
export class Failures {
  readonly #limits: { readonly minMs: number; readonly maxMs: number };
  #inARow = 0;
  #place: ClusterTime | undefined;
  #atPlace = 0;
  #reason: string | undefined;

  constructor({ minRetryMs, maxRetryMs }: MongoSettings) {
    this.#limits = { minMs: minRetryMs, maxMs: maxRetryMs };
  }

  /** Why the stream does not work at the moment. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** The stream is open again. */
  opened(): void {
    this.#reason = undefined;
  }

  /** The stream has worked for long enough to count as well. */
  settled(): void {
    this.#inARow = 0;
    this.#place = undefined;
  }

  /** @param place - up to where the stream had been read; undefined before it was opened. */
  add(error: unknown, place: ClusterTime | undefined): Recovery {
    this.#inARow += 1;
    this.#atPlace = place !== undefined && place === this.#place ? this.#atPlace + 1 : 1;
    this.#place = place;
    this.#reason = reasonOf(error);
    const lostReason = this.#lostReason(error);
    if (lostReason !== undefined) this.#place = undefined;
    return { delayMs: backoffMs(this.#inARow, this.#limits), lostReason };
  }

  #lostReason(error: unknown): string | undefined {
    switch (classify(error)) {
      case "history_lost":
        return "history_lost";
      case "unreadable":
        return "change_not_readable";
      case "unreachable":
      case "unauthorized":
        return undefined;
      case "not_resumable":
      case "failed":
        return this.#atPlace >= ATTEMPTS_AT_ONE_PLACE ? "stream_failed" : undefined;
    }
  }
}
