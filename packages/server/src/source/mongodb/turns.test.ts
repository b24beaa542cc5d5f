import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Turns } from "./turns.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

it("come at the earliest of their plans, one at a time, and what comes due meanwhile is planned at the end", async () => {
  const said: string[] = [];
  let finish: () => void = () => undefined;
  const work = (): Promise<void> => {
    said.push("begun");
    return new Promise((resolve) => {
      finish = resolve;
    });
  };
  const turns = new Turns(work, () => said.push("ended"));
  turns.plan(50);
  turns.plan(10);
  turns.plan(30);
  vi.advanceTimersByTime(9);
  expect(said).toEqual([]);
  vi.advanceTimersByTime(1);
  expect([said, turns.isRunning]).toEqual([["begun"], true]);
  turns.plan(5);
  vi.advanceTimersByTime(100);
  expect(said).toEqual(["begun"]);
  finish();
  await nextTurn();
  expect([said, turns.isRunning]).toEqual([["begun", "ended"], false]);
  turns.plan(5);
  turns.close();
  turns.plan(1);
  vi.advanceTimersByTime(100);
  expect(said).toEqual(["begun", "ended"]);
});
