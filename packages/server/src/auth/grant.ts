import { RealtimeError, topicCovers } from "@paperdb/protocol";
import type { GrantFilters } from "./grant-filters.ts";

/** What a key allows: `anon` to subscribe, `secret` also to publish and to mint tokens. */
export type KeyRole = "anon" | "secret";

/** Who asks, and what they may do. */
export interface Grant {
  readonly tenant: string;
  /** The tenant's plan, by name. */
  readonly plan: string;
  /** The key, or the one that minted the token. */
  readonly keyId: string;
  /** A token only subscribes: `anon`. */
  readonly role: KeyRole;
  /** The only collections that may be subscribed to; undefined: all of the tenant's. */
  readonly collections: readonly string[] | undefined;
  /** Topics and patterns whose topics may be subscribed to; undefined: all of the tenant's. */
  readonly topics: readonly string[] | undefined;
  /** Which documents of collections may be seen; absent: all. */
  readonly filters?: GrantFilters;
  /** The part of {@link filters} that is the key's own. */
  readonly keyFilters?: GrantFilters;
  /** What cursors received under {@link filters} are known by, by collection; the first one names new ones. */
  readonly cursorGrants?: ReadonlyMap<string, readonly string[]>;
  /** Present when the request came with a realtime token. */
  readonly token?: GrantToken;
}

/** The token that a grant comes from. */
interface GrantToken {
  readonly id: string;
  /** When the grant ends, in ms since 1970. */
  readonly expiresAtMs: number;
}

/** @throws {RealtimeError} `forbidden`, when the key or token does not grant the collection. */
export function requireCollection(grant: Grant, collection: string): void {
  if (grant.collections === undefined || grant.collections.includes(collection)) return;
  throw new RealtimeError(
    "forbidden",
    grant.token === undefined
      ? `This key does not grant the collection "${collection}". Use a key that names it.`
      : `This token does not grant the collection "${collection}". Mint one that names it, with a key that grants it.`,
  );
}

/**
 * @param pattern - a topic or a pattern; all that it stands for must be granted.
 * @throws {RealtimeError} `forbidden`, when the key is limited to some collections or the token does not grant it.
 */
export function requireTopic(grant: Grant, pattern: string): void {
  const { topics } = grant;
  if (topics === undefined || topics.some((granted) => topicCovers(granted, pattern))) return;
  throw new RealtimeError(
    "forbidden",
    grant.token === undefined
      ? "This key is limited to some collections and grants no topics. Use a key without that limit."
      : `This token does not grant the topic "${pattern}". Mint one whose "topics" cover it.`,
  );
}

/** @throws {RealtimeError} `forbidden`, when the key or token only reads. */
export function requirePublish(grant: Grant): void {
  requireSecretKey(grant, "Publish from your backend, with a secret key.");
}

/** @throws {RealtimeError} `forbidden`, when the key or token may not mint tokens. */
export function requireMint(grant: Grant): void {
  requireSecretKey(grant, "Mint tokens in your backend, with a secret key.");
}

function requireSecretKey({ role, token }: Grant, advice: string): void {
  if (role === "secret" && token === undefined) return;
  const what = token === undefined ? "An anon key" : "A realtime token";
  throw new RealtimeError("forbidden", `${what} only subscribes. ${advice}`);
}
