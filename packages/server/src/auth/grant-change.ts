import { z } from "zod";
import type { Grant } from "./grant.ts";

/** Something that ends or narrows grants. */
export type GrantChange =
  /** A key was revoked or changed. */
  | { readonly kind: "key"; readonly keyId: string }
  /** A tenant was deleted. */
  | { readonly kind: "tenant"; readonly tenant: string }
  /** A tenant is on another plan. */
  | { readonly kind: "plan"; readonly tenant: string; readonly plan: string }
  /** Anything may have changed. */
  | { readonly kind: "all" };

const announcement = z.union([
  z.object({ keyId: z.string() }).transform(({ keyId }): GrantChange => ({ kind: "key", keyId })),
  z
    .object({ tenant: z.string(), plan: z.string() })
    .transform(({ tenant, plan }): GrantChange => ({ kind: "plan", tenant, plan })),
  z.object({ tenant: z.string() }).transform(({ tenant }): GrantChange => ({ kind: "tenant", tenant })),
]);

/**
 * Reads what the triggers on tenants and keys announce. Whatever they cannot
 * have written means "all": any database role can notify, and asking the
 * database again is always right.
 */
export function parseGrantChange(payload: string): GrantChange {
  try {
    const parsed = announcement.safeParse(JSON.parse(payload));
    return parsed.success ? parsed.data : { kind: "all" };
  } catch {
    return { kind: "all" }; // Not JSON.
  }
}

/** Whether a change concerns a grant. */
export function matchesChange(grant: Pick<Grant, "keyId" | "tenant">, change: GrantChange): boolean {
  switch (change.kind) {
    case "key":
      return grant.keyId === change.keyId;
    case "tenant":
    case "plan":
      return grant.tenant === change.tenant;
    case "all":
      return true;
  }
}
