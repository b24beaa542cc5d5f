import { expect, it } from "vitest";
import { planWorld } from "../oracle/plan-world.ts";
import { failureReport } from "../oracle/report.ts";
import { runWorld } from "../oracle/world.ts";

const SIZE = 0.4;

it.each([
  ["wal", 4],
  ["wal", 13],
  ["notify", 4],
] as const)(
  "in a random world of mode %s (seed %i), every subscriber is told what happened, whatever fails",
  async (source, seed) => {
    const plan = planWorld(source, seed, SIZE);
    const verdict = await runWorld(plan);
    expect(verdict.objections.length === 0 ? "" : failureReport(plan, verdict)).toBe("");
    expect(verdict.events).toBeGreaterThan(plan.subscribers.length);
  },
  300_000,
);
