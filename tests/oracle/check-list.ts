import { applyEvent, type ExpectedEvent } from "./expected-events.ts";
import { fingerprint } from "./observations.ts";

/** What is wrong with the states that a list has shown: each was one of the collection's, and none came before an earlier one. */
export function checkList(shown: readonly string[], expected: readonly ExpectedEvent[]): readonly string[] {
  const state = new Map<string, number>();
  const states = [fingerprint([])];
  for (const event of expected) {
    applyEvent(state, event);
    states.push(fingerprint(state.values()));
  }
  let place = 0;
  for (const [index, one] of shown.entries()) {
    const found = states.indexOf(one, place);
    if (found < 0) {
      const before = states.indexOf(one);
      const why = before < 0 ? "never was" : `was before (${String(before)} of ${String(states.length)})`;
      return [`the list's state ${String(index + 1)} (${one}) ${why}, after ${String(place)}`];
    }
    place = found;
  }
  return [];
}
