import fc from "fast-check";
import { expect, it } from "vitest";
import { LatencyHistogram } from "./latency-histogram.ts";
import { percentile } from "./statistics.ts";

it("agrees with the exact percentiles to within its buckets", () => {
  const samples = fc.array(fc.integer({ min: 0, max: 4_000_000_000 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(samples, fc.constantFrom(0.5, 0.99, 0.999, 1), (us, p) => {
      const histogram = new LatencyHistogram();
      for (const each of us) histogram.record(each / 1000);
      const exactMs = percentile(us, p) / 1000;
      expect(histogram.percentileMs(p)).toBeGreaterThanOrEqual(exactMs);
      expect(histogram.percentileMs(p)).toBeLessThanOrEqual(exactMs * (1 + 1 / 64));
    }),
  );
});

it("takes what is below zero or beyond its range for the nearest that it knows", () => {
  const histogram = new LatencyHistogram();
  histogram.record(-1);
  histogram.record(1e12);
  expect(histogram.percentileMs(0.5)).toBe(0);
  expect(histogram.summary().maxMs).toBe(0xffff_ffff / 1000);
});

it("has nothing to say of nothing", () => {
  expect(new LatencyHistogram().percentileMs(0.5)).toBeNaN();
});
