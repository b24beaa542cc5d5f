import { isTopicPattern } from "@paperdb/protocol";
import { readGrantFilters, type GrantFilters } from "./grant-filters.ts";

/** What a realtime token may allow. */
export const TOKEN_PERMISSIONS = ["read"] as const;

/** One of {@link TOKEN_PERMISSIONS}. */
type TokenPermission = (typeof TOKEN_PERMISSIONS)[number];

/** What a token says of itself, once its signature was found to be good. */
export interface TokenClaims {
  /** Its own id. */
  readonly id: string;
  readonly tenant: string;
  /** The key that minted it, and that it dies with. */
  readonly keyId: string;
  readonly collections: readonly string[];
  /** Topics and patterns. */
  readonly topics: readonly string[];
  readonly permissions: readonly TokenPermission[];
  /** Which documents of its collections; absent: all. */
  readonly filters?: GrantFilters;
  /** In ms since 1970. */
  readonly issuedAtMs: number;
  /** In ms since 1970. */
  readonly expiresAtMs: number;
}

/**
 * The claims of a realtime token; undefined where one is missing or of a wrong form. Others are ignored. By hand, since
 * of thousands of clients that come back at once each has a token of its own.
 */
export function readTokenClaims(payload: unknown): TokenClaims | undefined {
  if (!isRecord(payload)) return undefined;
  const { jti, tenant, key, collections, topics, permissions, iat, exp } = payload;
  if (!isText(jti) || !isText(tenant) || !isText(key)) return undefined;
  if (!isListOf(collections, isString) || !isListOf(topics, isTopic)) return undefined;
  if (!isListOf(permissions, isPermission) || !isFiniteNumber(iat) || !isFiniteNumber(exp)) return undefined;
  const filters = readGrantFilters(payload["filters"]);
  if (filters === undefined) return undefined;
  return {
    id: jti,
    tenant,
    keyId: key,
    collections,
    topics,
    permissions,
    ...(filters.size === 0 ? {} : { filters }),
    issuedAtMs: iat * 1000,
    expiresAtMs: exp * 1000,
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isListOf<Item>(value: unknown, isItem: (item: unknown) => item is Item): value is readonly Item[] {
  return Array.isArray(value) && value.every(isItem);
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

function isText(value: unknown): value is string {
  return isString(value) && value !== "";
}

function isTopic(value: unknown): value is string {
  return isString(value) && isTopicPattern(value);
}

function isPermission(value: unknown): value is TokenPermission {
  const known: readonly unknown[] = TOKEN_PERMISSIONS;
  return known.includes(value);
}

function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value);
}
