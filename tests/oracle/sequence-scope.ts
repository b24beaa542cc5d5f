import type { ExpectedEvent } from "./expected-events.ts";

/** What sequences of one subscriber are compared with. */
export interface SequenceScope {
  /** All that it would have got from the beginning on. */
  readonly expected: readonly ExpectedEvent[];
  /** Whether a snapshot has the effect of exactly the events that do not follow. */
  readonly hasExactSnapshots: boolean;
  /** Whether the documents of a snapshot come as inserts. */
  readonly isMerged: boolean;
}
