import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Wheel } from "./wheel.ts";

const INTERVAL_MS = 10_000;
const STEPS = 40;

let served: number[][];
let wheel: Wheel<number>;

beforeEach(() => {
  vi.useFakeTimers();
  served = [];
  wheel = new Wheel(INTERVAL_MS, (members) => served.push([...members]));
});

afterEach(() => {
  wheel.close();
  vi.useRealTimers();
});

it("serves each member once in each interval", () => {
  const members = Array.from({ length: 33 }, (_, member) => member);
  for (const member of members) {
    wheel.add(member);
    vi.advanceTimersByTime(member * 5);
  }
  vi.advanceTimersByTime(INTERVAL_MS);
  for (let interval = 0; interval < 3; interval += 1) {
    served = [];
    vi.advanceTimersByTime(INTERVAL_MS);
    expect(served.flat().toSorted((one, other) => one - other)).toEqual(members);
  }
});

it("serves one that has just come after half an interval at the earliest, and one that is alone after a whole one", () => {
  wheel.add(0);
  for (let member = 1; member < 100; member += 1) wheel.add(member);
  vi.advanceTimersByTime(INTERVAL_MS / 2);
  expect(served).toEqual([]);
  vi.advanceTimersByTime(INTERVAL_MS / 2 - 1);
  expect(served.flat()).not.toContain(0);
  vi.advanceTimersByTime(1);
  expect(served.at(-1)).toContain(0);
});

it("spreads a crowd that comes at once", () => {
  for (let member = 0; member < 1000; member += 1) wheel.add(member);
  vi.advanceTimersByTime(INTERVAL_MS);
  expect(served.map(({ length }) => length)).toEqual(Array.from({ length: STEPS / 2 }, () => 50));
});

it("forgets who is deleted, and has a timer only while it has members", () => {
  expect(vi.getTimerCount()).toBe(0);
  const slot = wheel.add(1);
  const other = wheel.add(2);
  wheel.delete(1, slot);
  wheel.delete(1, slot);
  expect([...wheel]).toEqual([2]);
  vi.advanceTimersByTime(INTERVAL_MS);
  expect(served).toEqual([[2]]);
  wheel.delete(2, other);
  vi.advanceTimersByTime(INTERVAL_MS);
  expect(vi.getTimerCount()).toBe(0);
  wheel.add(3);
  vi.advanceTimersByTime(INTERVAL_MS);
  expect(served).toEqual([[2], [3]]);
});
