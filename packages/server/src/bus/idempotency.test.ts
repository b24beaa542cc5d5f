import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { IdempotencyKeys } from "./idempotency.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});

afterEach(() => {
  vi.useRealTimers();
});

it("remembers a key for the window, for its tenant and body", () => {
  const keys = new IdempotencyKeys({ idempotencyWindowMs: 1000, maxIdempotencyKeys: 10 });
  keys.remember("acme", "a", "body", "1");
  expect(keys.find("acme", "a", "body")).toBe("1");
  expect(keys.find("other", "a", "body")).toBeUndefined();
  const conflict = expect.objectContaining({ code: "idempotency_conflict" });
  expect(() => keys.find("acme", "a", "other")).toThrow(conflict);
  vi.advanceTimersByTime(999);
  expect(keys.find("acme", "a", "body")).toBe("1");
  vi.advanceTimersByTime(1);
  expect(keys.find("acme", "a", "other")).toBeUndefined();
  keys.remember("acme", "a", "other", "2");
  expect(keys.find("acme", "a", "other")).toBe("2");
});

it("forgets beyond the bound what was not asked for longest", () => {
  const keys = new IdempotencyKeys({ idempotencyWindowMs: 1000, maxIdempotencyKeys: 2 });
  keys.remember("acme", "a", "", "1");
  keys.remember("acme", "b", "", "2");
  keys.find("acme", "a", "");
  keys.remember("acme", "c", "", "3");
  expect(["a", "b", "c"].map((key) => keys.find("acme", key, ""))).toEqual(["1", undefined, "3"]);
});
