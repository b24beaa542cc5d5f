import { applyEvent, stateAfter, type ExpectedEvent } from "./expected-events.ts";
import type { Stretch } from "./observations.ts";
import type { SequenceScope } from "./sequence-scope.ts";

/**
 * Divides a stretch of the SDK, which gives the documents of a snapshot as inserts, into documents and events. Where
 * snapshots are exact: where the inserts are what the events before the next one make. Otherwise: as early as what
 * follows is without a gap. Where no place fits: as late as possible.
 */
export function divideMerged(
  stretch: Stretch,
  { expected, hasExactSnapshots }: Pick<SequenceScope, "expected" | "hasExactSnapshots">,
  places: ReadonlyMap<string, number>,
  isLast: boolean,
): Stretch {
  const inserts = leadingInserts(stretch.events);
  const divisions = Array.from({ length: inserts.length + 1 }, (_, count) => count);
  const fits = (count: number): boolean => {
    if (!hasExactSnapshots) return isWithoutGap(stretch.events.slice(count), places);
    const next = stretch.events[count];
    const documents = new Map(inserts.slice(0, count));
    // Cut off before anything followed: the documents may be of any time.
    if (next === undefined && !isLast) return wasOnce(documents, expected);
    const place = next === undefined ? expected.length : places.get(next);
    return place !== undefined && isSame(documents, stateAfter(expected.slice(0, place)));
  };
  const count = (hasExactSnapshots ? divisions.findLast(fits) : divisions.find(fits)) ?? inserts.length;
  const snapshot = new Map(inserts.slice(0, count));
  // Whether enough came is told by the documents, and not by when.
  return { ...stretch, snapshot, events: stretch.events.slice(count), readyAtMs: Number.POSITIVE_INFINITY };
}

function wasOnce(documents: ReadonlyMap<string, number>, expected: readonly ExpectedEvent[]): boolean {
  const state = new Map<string, number>();
  return (
    documents.size === 0 ||
    expected.some((event) => {
      applyEvent(state, event);
      return isSame(documents, state);
    })
  );
}

function isSame(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): boolean {
  return left.size === right.size && [...left].every(([documentId, mark]) => right.get(documentId) === mark);
}

function isWithoutGap(events: readonly string[], places: ReadonlyMap<string, number>): boolean {
  const [first = ""] = events;
  const from = places.get(first) ?? 0;
  return events.every((name, index) => places.get(name) === from + index);
}

function leadingInserts(events: readonly string[]): readonly (readonly [documentId: string, mark: number])[] {
  const other = events.findIndex((name) => !name.startsWith("insert "));
  return events.slice(0, other < 0 ? undefined : other).map((name) => {
    const end = name.lastIndexOf(" ");
    return [name.slice("insert ".length, end), Number(name.slice(end))] as const;
  });
}
