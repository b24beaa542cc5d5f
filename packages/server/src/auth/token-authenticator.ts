import { hash } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import { BoundedCache } from "../cache/bounded-cache.ts";
import type { Grant } from "./grant.ts";
import { intersectFilters, NO_FILTERS } from "./grant-filters.ts";
import type { GrantFilters } from "./grant-filters.ts";
import type { KeyAuthenticator } from "./key-authenticator.ts";
import { requireRealtime } from "./plans.ts";
import type { Plans } from "./plans.ts";
import type { RealtimeTokens } from "./realtime-token.ts";
import type { TokenClaims } from "./token-claims.ts";

/** What a {@link TokenAuthenticator} is made of. */
export interface TokenAuthenticatorOptions {
  readonly tokens: RealtimeTokens;
  readonly keys: KeyAuthenticator;
  readonly plans: Plans;
  /** Bound of the checked tokens that are remembered. */
  readonly maxCachedTokens: number;
}

/** A token whose signature was found to be good. */
interface CheckedToken {
  readonly claims: TokenClaims;
  /** What its key allowed when the grant was made. */
  key: Grant | undefined;
  grant: Grant | undefined;
}

/**
 * Finds out what a realtime token allows at this moment: what it says, within what its key still allows.
 *
 * Only signatures and claims are remembered, by the token's hash. The time and the key are
 * looked at each time; while the key's grant is the same, so is the token's.
 */
export class TokenAuthenticator {
  readonly #options: TokenAuthenticatorOptions;
  readonly #checked: BoundedCache<CheckedToken>;

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options;
    this.#checked = new BoundedCache(options.maxCachedTokens);
  }

  /** Tokens remembered, for tests. */
  get cachedTokens(): number {
    return this.#checked.size;
  }

  /**
   * Whoever registers a connection in the turn in which this resolves cannot miss a revocation
   * of the key, its tenant or its plan: see {@link KeyAuthenticator.authenticate}.
   *
   * @throws {RealtimeError} `token_invalid`, `token_expired`, `key_revoked`, `forbidden`, `plan_required`, `key_store_unavailable`.
   */
  async authenticateToken(token: string): Promise<Grant> {
    this.#options.tokens.requireLength(token);
    const name = hash("sha256", token, "base64");
    const checked = this.#known(name) ?? (await this.#check(name, token));
    const key = await this.#options.keys.findMintingKey(checked.claims.keyId);
    if (checked.grant === undefined || checked.key !== key) {
      checked.grant = this.#grantOf(checked.claims, key);
      checked.key = key;
    }
    return checked.grant;
  }

  #known(name: string): CheckedToken | undefined {
    const known = this.#checked.get(name);
    if (known !== undefined) this.#options.tokens.requireTimely(known.claims);
    return known;
  }

  async #check(name: string, token: string): Promise<CheckedToken> {
    const claims = await this.#options.tokens.verify(token);
    const checked: CheckedToken = { claims, key: undefined, grant: undefined };
    this.#checked.set(name, checked);
    return checked;
  }

  #grantOf(claims: TokenClaims, key: Grant): Grant {
    const { plans } = this.#options;
    if (key.tenant !== claims.tenant) {
      throw new RealtimeError(
        "token_invalid",
        "The token is not valid: its tenant is not its key's. Fetch a fresh token from your backend.",
      );
    }
    if (key.role !== "secret") {
      throw new RealtimeError(
        "key_revoked",
        "The key that made this token may not mint tokens any more: mint one with a secret key.",
      );
    }
    if (!claims.permissions.includes("read")) {
      throw new RealtimeError(
        "forbidden",
        'The token does not permit "read": mint one with "permissions": ["read"].',
      );
    }
    requireRealtime(key, plans);
    const { collections, topics } = claims;
    const filters = intersectFilters(key.filters ?? NO_FILTERS, claims.filters ?? NO_FILTERS);
    return {
      tenant: key.tenant,
      plan: key.plan,
      keyId: key.keyId,
      role: "anon",
      collections: collections.filter((name) => key.collections?.includes(name) ?? true),
      topics: key.topics === undefined ? topics : [],
      ...(filters.size === 0 ? {} : { filters, cursorGrants: this.#cursorGrants(key.tenant, filters) }),
      ...(key.keyFilters === undefined ? {} : { keyFilters: key.keyFilters }),
      token: { id: claims.id, expiresAtMs: claims.expiresAtMs },
    };
  }

  #cursorGrants(tenant: string, filters: GrantFilters): ReadonlyMap<string, readonly string[]> {
    const { tokens } = this.#options;
    return new Map(
      [...filters].map(([name, { id }]) => [name, tokens.namesOf(JSON.stringify([tenant, name, id]))]),
    );
  }
}
