import { RealtimeError } from "@paperdb/protocol";
import type { Grant } from "./grant.ts";
import { intersectFilters, NO_FILTERS } from "./grant-filters.ts";
import type { GrantFilters } from "./grant-filters.ts";
import type { KeyAuthenticator } from "./key-authenticator.ts";
import { requireRealtime } from "./plans.ts";
import type { Plans } from "./plans.ts";
import type { RealtimeTokens } from "./realtime-token.ts";

/** What a {@link TokenAuthenticator} is made of. */
export interface TokenAuthenticatorOptions {
  readonly tokens: RealtimeTokens;
  readonly keys: KeyAuthenticator;
  readonly plans: Plans;
}

/** Finds out what a realtime token allows at this moment: what it says, within what its key still allows. */
export class TokenAuthenticator {
  readonly #options: TokenAuthenticatorOptions;

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * Whoever registers a connection in the turn in which this resolves cannot miss a revocation
   * of the key, its tenant or its plan: see {@link KeyAuthenticator.authenticate}.
   *
   * @throws {RealtimeError} `token_invalid`, `token_expired`, `key_revoked`, `forbidden`, `plan_required`, `key_store_unavailable`.
   */
  async authenticateToken(token: string): Promise<Grant> {
    const { tokens, keys, plans } = this.#options;
    const claims = await tokens.verify(token);
    const key = await keys.findMintingKey(claims.keyId);
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
