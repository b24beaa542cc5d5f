import { RealtimeError } from "@paperdb/protocol";

/** What a key allows: `anon` to subscribe, `secret` also to publish. */
export type KeyRole = "anon" | "secret";

/** Who asks, and what they may do. */
export interface Grant {
  readonly tenant: string;
  /** The tenant's plan, by name. */
  readonly plan: string;
  readonly keyId: string;
  readonly role: KeyRole;
  /** The only collections that may be subscribed to; undefined: all of the tenant's. */
  readonly collections: readonly string[] | undefined;
}

/** @throws {RealtimeError} `forbidden`, when the key does not grant the collection. */
export function requireCollection(grant: Grant, collection: string): void {
  if (grant.collections === undefined || grant.collections.includes(collection)) return;
  throw new RealtimeError(
    "forbidden",
    `This key does not grant the collection "${collection}". Use a key that names it.`,
  );
}

/** @throws {RealtimeError} `forbidden`, when the key is limited to some collections. */
export function requireTopics(grant: Grant): void {
  if (grant.collections === undefined) return;
  throw new RealtimeError(
    "forbidden",
    "This key is limited to some collections and grants no topics. Use a key without that limit.",
  );
}

/** @throws {RealtimeError} `forbidden`, when the key only reads. */
export function requirePublish(grant: Grant): void {
  if (grant.role === "secret") return;
  throw new RealtimeError(
    "forbidden",
    "An anon key only subscribes. Publish from your backend, with a secret key.",
  );
}
