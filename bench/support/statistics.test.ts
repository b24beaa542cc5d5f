import { describe, expect, it } from "vitest";
import { median, percentile, Rounds } from "./statistics.ts";

describe("percentile", () => {
  it("is the nearest rank, whatever the order of the samples", () => {
    const samples = Array.from({ length: 200 }, (_, index) => 200 - index);
    expect(percentile(samples, 0.5)).toBe(100);
    expect(percentile(samples, 0.99)).toBe(198);
    expect(percentile(samples, 1)).toBe(200);
    expect(percentile(samples, 0)).toBe(1);
  });

  it("sorts by value, not as text", () => {
    expect(percentile([9, 10, 100], 0.5)).toBe(10);
    expect(percentile([-2, -10, 3], 0)).toBe(-10);
  });

  it("refuses no samples", () => {
    expect(() => percentile([], 0.5)).toThrow("no samples");
  });
});

describe("median", () => {
  it("is the middle one, or between the two in the middle", () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
  });

  it("refuses no samples", () => {
    expect(() => median([])).toThrow("no samples");
  });
});

describe("Rounds", () => {
  it("takes ratios round by round, so that a slow round does not count", () => {
    const rounds = new Rounds<"base" | "other">();
    for (const [base, other] of [
      [100, 50],
      [10, 5],
      [200, 100],
    ] as const) {
      rounds.add("base", base);
      rounds.add("other", other);
    }
    expect(rounds.median("base")).toBe(100);
    expect(rounds.median("other")).toBe(50);
    expect(rounds.ratio("other", "base")).toBe(0.5);
  });
});
