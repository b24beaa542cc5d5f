import type { CommittedTransaction, Entry } from "./journal.ts";
import type { Viewer } from "./viewer.ts";

/** One event that a subscriber is to get, or a place that nobody gets across without a reset. */
export type ExpectedEvent =
  | {
      readonly kind: "event";
      /** Tells it from all others. */
      readonly name: string;
      readonly documentId: string;
      readonly mark: number;
      readonly isDelete: boolean;
      readonly askedAtMs: number;
      readonly transaction: number;
    }
  | { readonly kind: "barrier"; readonly askedAtMs: number };

/** The name of an event. */
export function eventName(type: string, documentId: string, mark: number): string {
  // A replacement is an update to those that do not know of replacements.
  return `${type === "replace" ? "update" : type} ${documentId} ${String(mark)}`;
}

/** All that a subscriber to a collection would have got, had it been there from the beginning. */
export function expectedChanges(
  transactions: readonly CommittedTransaction[],
  viewer: Viewer,
): readonly ExpectedEvent[] {
  return transactions.flatMap((transaction) =>
    transaction.entries.flatMap((entry) => changesOf(entry, transaction, viewer)),
  );
}

/** All events of a tenant's topics. */
export function expectedTopicEvents(
  transactions: readonly CommittedTransaction[],
  tenant: string,
): readonly ExpectedEvent[] {
  return transactions.flatMap((transaction) =>
    transaction.entries.flatMap((entry) =>
      entry.kind === "published" && entry.tenant === tenant
        ? [eventOf(transaction, "published", "", entry.mark)]
        : [],
    ),
  );
}

function changesOf(
  entry: Entry,
  transaction: CommittedTransaction,
  viewer: Viewer,
): readonly ExpectedEvent[] {
  if (entry.kind === "published" || entry.collection !== viewer.collection.name) return [];
  if (entry.kind === "truncated") return [{ kind: "barrier", askedAtMs: transaction.askedAtMs }];
  const { before, after } = entry;
  const left = before !== undefined && viewer.sees(before) ? before : undefined;
  const joined = after !== undefined && viewer.sees(after) ? after : undefined;
  if (left !== undefined && joined !== undefined && left.documentId === joined.documentId) {
    return [eventOf(transaction, "update", joined.documentId, joined.mark)];
  }
  return [
    ...(left === undefined ? [] : [eventOf(transaction, "delete", left.documentId, left.mark)]),
    ...(joined === undefined ? [] : [eventOf(transaction, "insert", joined.documentId, joined.mark)]),
  ];
}

function eventOf(
  { id, askedAtMs }: CommittedTransaction,
  type: string,
  documentId: string,
  mark: number,
): ExpectedEvent {
  const name = eventName(type, documentId, mark);
  return { kind: "event", name, documentId, mark, isDelete: type === "delete", askedAtMs, transaction: id };
}

/** What an event makes of the documents that a client holds: id → mark. */
export function applyEvent(state: Map<string, number>, event: ExpectedEvent): void {
  if (event.kind === "barrier") state.clear();
  else if (event.isDelete) state.delete(event.documentId);
  else state.set(event.documentId, event.mark);
}

/** What all of them make of none. */
export function stateAfter(events: readonly ExpectedEvent[]): ReadonlyMap<string, number> {
  const state = new Map<string, number>();
  for (const event of events) applyEvent(state, event);
  return state;
}
