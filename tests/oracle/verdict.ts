import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { unexplainedResets } from "./causes.ts";
import { checkList } from "./check-list.ts";
import { checkSequences } from "./check-sequence.ts";
import { expectedChanges, expectedTopicEvents, stateAfter } from "./expected-events.ts";
import type { Evidence, Expectation, Verdict } from "./evidence.ts";
import { isSameJson, type Image } from "./image.ts";
import type { CommittedTransaction } from "./journal.ts";
import { fullTrace } from "./report.ts";
import type { Subscriber } from "./subscriber.ts";

/**
 * What each subscriber is to be told by what happened.
 *
 * @param transactions - in commit order.
 * @param rows - what the database holds, by collection.
 */
export function expectationsOf(
  subscribers: readonly Subscriber[],
  transactions: readonly CommittedTransaction[],
  rows: ReadonlyMap<string, readonly Image[]>,
): readonly Expectation[] {
  return subscribers.map((subscriber) => {
    const { viewer, plan } = subscriber;
    if (viewer === undefined) {
      return { subscriber, events: expectedTopicEvents(transactions, plan.tenant), queried: undefined };
    }
    const found = (rows.get(viewer.collection.name) ?? []).filter((row) => viewer.sees(row));
    const queried = new Map(found.map(({ documentId, mark }) => [documentId, mark]));
    return { subscriber, events: expectedChanges(transactions, viewer), queried };
  });
}

/** Compares what each subscriber was told with what happened. */
export function judgeWorld(evidence: Evidence): Verdict {
  const { expectations, transactions } = evidence;
  const count = (of: (subscriber: Subscriber) => number): number =>
    expectations.reduce((sum, { subscriber }) => sum + of(subscriber), 0);
  return {
    objections: expectations.flatMap((expectation) =>
      objectionsTo(expectation, evidence).map((text) => ({ subscriber: expectation.subscriber, text })),
    ),
    transactions,
    events: count(({ observations }) => observations.eventCount),
    resets: count(({ observations }) => observations.resets.length),
    trace: () => fullTrace(evidence),
  };
}

function objectionsTo(expectation: Expectation, { plan: world, causes }: Evidence): readonly string[] {
  const { subscriber, events } = expectation;
  const { plan, observations, violations } = subscriber;
  const scope = {
    expected: events,
    hasExactSnapshots: world.source !== "mongodb",
    isMerged: plan.client === "sdk" && plan.snapshot,
  };
  const { stretches, resets, shown } = observations;
  const isForgetful = world.historyEvents !== undefined;
  return [
    ...violations,
    ...(plan.client === "list" ? checkList(shown, events) : checkSequences(stretches, scope)),
    ...unexplainedResets(world.source, plan, { resets, stretches, causes, isForgetful }),
    ...stateObjections(expectation),
  ];
}

/** What a client holds, what the events make of it, and what the database has by the viewer's filters: all the same. */
function stateObjections({ subscriber, events, queried }: Expectation): readonly string[] {
  if (queried === undefined) return [];
  if (!isSameState(queried, stateAfter(events))) {
    return ["the journal and the database do not agree: the oracle itself is wrong"];
  }
  const holds = subscriber.held();
  if (holds === undefined) return subscriber.plan.snapshot ? ["holds nothing yet"] : [];
  if (isSameState(queried, holds)) return [];
  return [`holds ${String(holds.size)} documents, the query finds ${String(queried.size)}, or others`];
}

function isSameState(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): boolean {
  return isSameJson(asJson(left), asJson(right));
}

function asJson(state: ReadonlyMap<string, number>): JsonValue {
  return Object.fromEntries(state);
}
