import type { Cause } from "./causes.ts";
import type { ExpectedEvent } from "./expected-events.ts";
import type { WorldPlan } from "./plan.ts";
import type { Subscriber } from "./subscriber.ts";

/** Something that is wrong with what a subscriber was told. */
interface Objection {
  readonly subscriber: Subscriber;
  readonly text: string;
}

/** What was wrong in a world: nothing, if the product is right. */
export interface Verdict {
  readonly objections: readonly Objection[];
  readonly transactions: number;
  readonly events: number;
  readonly resets: number;
  /** All that subscribers saw and servers said. */
  readonly trace: () => string;
}

/** What a subscriber is to be told, and to hold in the end. */
export interface Expectation {
  readonly subscriber: Subscriber;
  readonly events: readonly ExpectedEvent[];
  /** What the query finds in the database: id → mark. Undefined of topics. */
  readonly queried: ReadonlyMap<string, number> | undefined;
}

/** All that a world is judged by, once nothing is written any more. */
export interface Evidence {
  readonly plan: WorldPlan;
  readonly expectations: readonly Expectation[];
  readonly causes: readonly Cause[];
  readonly transactions: number;
  /** What the servers said. */
  readonly output: () => string;
}
