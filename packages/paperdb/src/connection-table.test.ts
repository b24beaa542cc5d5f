import { expect, it } from "vitest";
import { TRANSITIONS, type TransitionTable } from "./connection-table.ts";

const { idle, ...withoutIdle } = TRANSITIONS;
const { wanted, ...withoutWanted } = idle;

// @ts-expect-error a state without its row does not compile
const withoutState: TransitionTable = withoutIdle;

// @ts-expect-error an event without its cell does not compile
const withoutEvent: TransitionTable = { ...TRANSITIONS, idle: withoutWanted };

const withUnknownState: TransitionTable = {
  ...TRANSITIONS,
  // @ts-expect-error nor does a state that there is not
  idle: { ...idle, wanted: ["nowhere"] },
};

const withUnknownEffect: TransitionTable = {
  ...TRANSITIONS,
  // @ts-expect-error nor an effect that there is not
  idle: { ...idle, wanted: ["authorizing", "nothing"] },
};

it("has no hole, which the compiler checks, and no way out of closed", () => {
  expect([withoutState, withoutEvent, withUnknownState, withUnknownEffect].length).toBe(4);
  expect(wanted).toEqual(["authorizing", "authorize"]);
  expect(new Set(Object.values(TRANSITIONS.closed).flat())).toEqual(new Set());
});

it("reaches each state", () => {
  const reached = new Set(["idle"]);
  for (const state of reached) {
    const row = Object.entries(TRANSITIONS).find(([name]) => name === state)?.[1];
    for (const [next] of Object.values(row ?? {})) if (next !== undefined) reached.add(next);
  }
  expect([...reached].toSorted()).toEqual(Object.keys(TRANSITIONS).toSorted());
});
