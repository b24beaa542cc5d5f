import { expect, it } from "vitest";
import { planWorld } from "../oracle/plan-world.ts";
import { failureReport } from "../oracle/report.ts";
import { runWorld } from "../oracle/world.ts";
import { canStartMongo } from "../support/mongo.ts";

const SIZE = 0.3;

it.runIf(canStartMongo)(
  "in a random world on MongoDB, every subscriber is told what happened, whatever fails",
  async () => {
    const plan = planWorld("mongodb", 13, SIZE);
    const verdict = await runWorld(plan);
    expect(verdict.objections.length === 0 ? "" : failureReport(plan, verdict)).toBe("");
    expect(verdict.events).toBeGreaterThan(plan.subscribers.length);
  },
  300_000,
);
