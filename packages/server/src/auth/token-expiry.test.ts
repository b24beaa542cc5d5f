import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { onTokenExpiry } from "./token-expiry.ts";

const DAY_MS = 86_400_000;
let expired: number;

beforeEach(() => {
  expired = 0;
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function watch(lifetimeMs: number): () => void {
  const token = { id: "j", expiresAtMs: Date.now() + lifetimeMs };
  return onTokenExpiry({ token }, () => {
    expired += 1;
  });
}

test("calls back once, when the time is over", () => {
  watch(1000);
  vi.advanceTimersByTime(999);
  expect(expired).toBe(0);
  vi.advanceTimersByTime(1);
  expect(expired).toBe(1);
  vi.advanceTimersByTime(DAY_MS);
  expect(expired).toBe(1);
});

test.each([30 * DAY_MS, 100 * DAY_MS])("a life of %d ms is longer than a timer, and kept", (lifetimeMs) => {
  watch(lifetimeMs);
  vi.advanceTimersByTime(lifetimeMs - 1);
  expect(expired).toBe(0);
  vi.advanceTimersByTime(1);
  expect(expired).toBe(1);
});

test("one that is over already calls back later, not at once", () => {
  watch(-5000);
  expect(expired).toBe(0);
  vi.advanceTimersByTime(1);
  expect(expired).toBe(1);
});

test("taken back, it leaves no timer", () => {
  const cancel = watch(30 * DAY_MS);
  vi.advanceTimersByTime(29 * DAY_MS);
  cancel();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(DAY_MS);
  expect(expired).toBe(0);
});

test("a key never expires", () => {
  onTokenExpiry({}, () => {
    expired += 1;
  })();
  expect(vi.getTimerCount()).toBe(0);
});
