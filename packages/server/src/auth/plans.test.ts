import { RealtimeError } from "@paperdb/protocol";
import { expect, test } from "vitest";
import type { Grant } from "./grant.ts";
import { hasRealtime, requireRealtime } from "./plans.ts";

const PLANS = { free: { realtime: false }, pro: { realtime: true }, team: { realtime: true } };

function grantOn(plan: string): Grant {
  return { tenant: "t", plan, keyId: "k", role: "secret", collections: undefined, topics: undefined };
}

test("a plan with realtime passes", () => {
  expect(() => {
    requireRealtime(grantOn("team"), PLANS);
  }).not.toThrow();
});

test.each(["free", "unknown", "constructor"])(
  "the plan %s does not, and the sentence names those that do",
  (plan) => {
    expect(hasRealtime(plan, PLANS)).toBe(false);
    expect(() => {
      requireRealtime(grantOn(plan), PLANS);
    }).toThrow(
      new RealtimeError(
        "plan_required",
        `The plan "${plan}" has no realtime: move the tenant to pro or team.`,
      ),
    );
  },
);
