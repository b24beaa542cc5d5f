import { stateAfter, type ExpectedEvent } from "./expected-events.ts";
import type { Stretch } from "./observations.ts";

/**
 * Divides a stretch of the SDK, which gives the documents of a snapshot as inserts, into documents and events: where what
 * follows is without a gap, and the inserts before it are what the events before that make. Where no place fits it is
 * divided as late as possible.
 */
export function divideMerged(
  stretch: Stretch,
  expected: readonly ExpectedEvent[],
  places: ReadonlyMap<string, number>,
): Stretch {
  const inserts = leadingInserts(stretch.events);
  const divisions = Array.from({ length: inserts.length + 1 }, (_, count) => inserts.length - count);
  const fitting = divisions.find((count) => {
    const next = stretch.events[count];
    const place = next === undefined ? expected.length : places.get(next);
    if (place === undefined) return false;
    const state = stateAfter(expected.slice(0, place));
    return state.size === count && inserts.slice(0, count).every(([id, mark]) => state.get(id) === mark);
  });
  const count = fitting ?? inserts.length;
  const snapshot = new Map(inserts.slice(0, count));
  // Whether enough came is told by the documents, and not by when.
  return { ...stretch, snapshot, events: stretch.events.slice(count), readyAtMs: Number.POSITIVE_INFINITY };
}

function leadingInserts(events: readonly string[]): readonly (readonly [documentId: string, mark: number])[] {
  const other = events.findIndex((name) => !name.startsWith("insert "));
  return events.slice(0, other < 0 ? undefined : other).map((name) => {
    const end = name.lastIndexOf(" ");
    return [name.slice("insert ".length, end), Number(name.slice(end))] as const;
  });
}
