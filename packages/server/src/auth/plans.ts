import { RealtimeError } from "@paperdb/protocol";
import type { Grant } from "./grant.ts";

/** What a plan allows, as far as access goes. */
interface PlanAccess {
  readonly realtime: boolean;
}

/** Plans by name. */
export type Plans<Plan extends PlanAccess = PlanAccess> = Readonly<Record<string, Plan>>;

/** Whether tenants of this plan may subscribe and publish; not for a plan that is not configured. */
export function hasRealtime(plan: string, plans: Plans): boolean {
  return Object.hasOwn(plans, plan) && plans[plan]?.realtime === true;
}

/** @throws {RealtimeError} `plan_required`, when the tenant's plan has no realtime. */
export function requireRealtime(grant: Grant, plans: Plans): void {
  if (hasRealtime(grant.plan, plans)) return;
  const others = Object.keys(plans).filter((plan) => hasRealtime(plan, plans));
  throw new RealtimeError(
    "plan_required",
    `The plan "${grant.plan}" has no realtime: move the tenant to ${others.join(" or ") || "a plan that has it"}.`,
  );
}
