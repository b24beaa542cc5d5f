import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { unexplainedResets, type Cause } from "./causes.ts";
import { checkList } from "./check-list.ts";
import { checkSequences } from "./check-sequence.ts";
import { expectedChanges, expectedTopicEvents, stateAfter, type ExpectedEvent } from "./expected-events.ts";
import { isSameJson, type Image } from "./image.ts";
import type { CommittedTransaction } from "./journal.ts";
import type { WorldPlan } from "./plan.ts";
import { fullTrace } from "./report.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Viewer } from "./viewer.ts";

/** Something that is wrong with what a subscriber was told. */
export interface Objection {
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

/** All that a world is judged by, once nothing is written any more. */
export interface Evidence {
  readonly plan: WorldPlan;
  readonly subscribers: readonly Subscriber[];
  readonly causes: readonly Cause[];
  /** In commit order. */
  readonly transactions: readonly CommittedTransaction[];
  /** What the database holds, by collection. */
  readonly rows: ReadonlyMap<string, readonly Image[]>;
  /** What the servers said. */
  readonly output: () => string;
}

/** Compares what each subscriber was told with what happened. */
export function judgeWorld(evidence: Evidence): Verdict {
  const { subscribers, transactions } = evidence;
  const count = (of: (subscriber: Subscriber) => number): number =>
    subscribers.reduce((sum, subscriber) => sum + of(subscriber), 0);
  return {
    objections: subscribers.flatMap((subscriber) =>
      objectionsTo(subscriber, evidence).map((text) => ({ subscriber, text })),
    ),
    transactions: transactions.length,
    events: count(({ observations }) => observations.eventCount),
    resets: count(({ observations }) => observations.resets.length),
    trace: () => fullTrace(evidence),
  };
}

function objectionsTo(subscriber: Subscriber, evidence: Evidence): readonly string[] {
  const { plan, viewer, observations, violations } = subscriber;
  const { source } = evidence.plan;
  const { transactions, causes } = evidence;
  const expected =
    viewer === undefined
      ? expectedTopicEvents(transactions, plan.tenant)
      : expectedChanges(transactions, viewer);
  const scope = {
    expected,
    hasExactSnapshots: source !== "mongodb",
    isMerged: plan.client === "sdk" && plan.snapshot,
  };
  const { stretches, resets, shown } = observations;
  return [
    ...violations,
    ...(plan.client === "list" ? checkList(shown, expected) : checkSequences(stretches, scope)),
    ...unexplainedResets(source, plan, { resets, stretches, causes }),
    ...(viewer === undefined ? [] : stateObjections(subscriber, viewer, { expected, evidence })),
  ];
}

/** What a client holds, what the events make of it, and what the database has by the viewer's filters: all the same. */
function stateObjections(
  subscriber: Subscriber,
  viewer: Viewer,
  { expected, evidence }: { readonly expected: readonly ExpectedEvent[]; readonly evidence: Evidence },
): readonly string[] {
  const rows = evidence.rows.get(viewer.collection.name) ?? [];
  const queried = rows
    .filter((row) => viewer.sees(row))
    .map(({ documentId, mark }) => [documentId, mark] as const);
  const objections: string[] = [];
  if (!isSameState(new Map(queried), stateAfter(expected))) {
    objections.push("the journal and the database do not agree: the oracle itself is wrong");
  }
  const holds = subscriber.held();
  if (holds === undefined && subscriber.plan.snapshot) objections.push("holds nothing yet");
  if (holds !== undefined && !isSameState(new Map(queried), holds)) {
    objections.push(
      `holds ${String(holds.size)} documents, the query finds ${String(queried.length)}, or others`,
    );
  }
  return objections;
}

function isSameState(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): boolean {
  return isSameJson(asJson(left), asJson(right));
}

function asJson(state: ReadonlyMap<string, number>): JsonValue {
  return Object.fromEntries(state);
}
