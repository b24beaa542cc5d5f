import { RealtimeError } from "@paperdb/protocol";
import { hashKeyText, isKeyText } from "./key-text.ts";
import { BoundedCache } from "../cache/bounded-cache.ts";
import type { Grant } from "./grant.ts";
import { readGrantFilters } from "./grant-filters.ts";
import { matchesChange } from "./grant-change.ts";
import type { GrantChange } from "./grant-change.ts";
import type { KeyStore, StoredKey } from "./key-store.ts";
import { byHash, byId } from "./wanted-key.ts";
import type { RememberedKey, WantedKey } from "./wanted-key.ts";

/** How keys are checked and remembered. */
export interface KeyAuthenticatorOptions {
  readonly store: KeyStore;
  /** How long a checked key is trusted without asking the store. */
  readonly keyCacheMs: number;
  /** Bound of the checked keys, and of the unknown ones, that are remembered. */
  readonly maxCachedKeys: number;
  /** Bound of the look-ups under way; further ones are refused. */
  readonly maxLookups: number;
  readonly now?: () => number;
}

interface CachedKey extends RememberedKey {
  readonly grant: Grant;
  readonly checkedAtMs: number;
}

/** Changes that arrive while a key is looked up: the answer may be from before them. */
interface Lookup {
  readonly answer: Promise<Grant>;
  readonly changes: GrantChange[];
}

/** So that a client that retries a revoked key in a loop costs few queries. */
const UNKNOWN_KEY_CACHE_MS = 1000;
const MAX_LOOKUP_ATTEMPTS = 5;

/**
 * Finds out who a key belongs to.
 *
 * Checked keys are remembered for `keyCacheMs`; {@link forget} takes them back
 * as soon as the store announces a change. While announcements do not arrive
 * ({@link setAnnounced}), the store is asked every time, and what is remembered
 * serves only when it does not answer.
 */
export class KeyAuthenticator {
  readonly #options: KeyAuthenticatorOptions;
  readonly #now: () => number;
  /** By key id. */
  readonly #keys: BoundedCache<CachedKey>;
  /** Hash → key id. */
  readonly #ids: BoundedCache<string>;
  /** Name → when it was found to be unknown. */
  readonly #unknown: BoundedCache<number>;
  readonly #lookups = new Map<string, Lookup>();
  #announced = false;

  constructor(options: KeyAuthenticatorOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#keys = new BoundedCache(options.maxCachedKeys);
    this.#ids = new BoundedCache(options.maxCachedKeys);
    this.#unknown = new BoundedCache(options.maxCachedKeys);
  }

  /** Keys remembered, for metrics and tests. */
  get cachedKeys(): number {
    return this.#keys.size;
  }

  /**
   * Once it resolves, a later change of this grant reaches {@link forget} after it:
   * whoever registers a connection in the same turn cannot miss a revocation.
   *
   * @throws {RealtimeError} `key_malformed`, `key_revoked`, `key_store_unavailable`; `forbidden` when its filters cannot be read.
   */
  async authenticate(keyText: string): Promise<Grant> {
    return this.getOrFetchGrant(keyText);
  }

  /**
   * The same, at once where nobody has to be asked.
   *
   * @throws {RealtimeError} `key_malformed`; the promise rejects as that of {@link authenticate} does.
   */
  getOrFetchGrant(keyText: string): Grant | Promise<Grant> {
    if (!isKeyText(keyText)) {
      throw new RealtimeError(
        "key_malformed",
        "The key is not one of ours: it starts with flc_anon_ or flc_secret_. Copy it again, whole.",
      );
    }
    // Each time: what is remembered of a key is its hash, in memory as in the database.
    const hash = hashKeyText(keyText);
    return (this.#announced ? this.#getGrant(hash) : undefined) ?? this.#find(byHash(hash));
  }

  /**
   * What the key that minted a token allows, by its id; resolves like {@link authenticate}.
   *
   * @throws {RealtimeError} `key_revoked`, `key_store_unavailable`.
   */
  async findMintingKey(keyId: string): Promise<Grant> {
    return this.#find(byId(keyId));
  }

  /** Whether changes are being announced at the moment. */
  setAnnounced(announced: boolean): void {
    this.#announced = announced;
  }

  /** Takes back what is remembered of the grants that a change concerns. */
  forget(change: GrantChange): void {
    this.#keys.deleteWhere(({ grant }) => matchesChange(grant, change));
    for (const lookup of this.#lookups.values()) lookup.changes.push(change);
  }

  /** What is remembered of a text's hash, and fresh. */
  #getGrant(hash: string): Grant | undefined {
    const keyId = this.#ids.get(hash);
    const cached = keyId === undefined ? undefined : this.#keys.get(keyId);
    return cached?.hash === hash && this.#isFresh(cached) ? cached.grant : undefined;
  }

  async #find(wanted: WantedKey): Promise<Grant> {
    const cached = this.#cached(wanted);
    const usable = cached !== undefined && this.#isFresh(cached);
    if (usable && this.#announced) return cached.grant;
    if (this.#now() - (this.#unknown.get(wanted.name) ?? -Infinity) < UNKNOWN_KEY_CACHE_MS) {
      throw wanted.revoked();
    }
    try {
      return await this.#lookUp(wanted);
    } catch (error) {
      const isOutage = error instanceof RealtimeError && error.code === "key_store_unavailable";
      // Read again: a change may have arrived meanwhile.
      if (usable && isOutage && this.#keys.get(cached.grant.keyId) === cached) return cached.grant;
      throw error;
    }
  }

  #isFresh({ checkedAtMs }: CachedKey): boolean {
    return this.#now() - checkedAtMs < this.#options.keyCacheMs;
  }

  #cached(wanted: WantedKey): CachedKey | undefined {
    const keyId = wanted.keyId(this.#ids);
    const cached = keyId === undefined ? undefined : this.#keys.get(keyId);
    return cached !== undefined && wanted.isSame(cached) ? cached : undefined;
  }

  #lookUp(wanted: WantedKey): Promise<Grant> {
    const underWay = this.#lookups.get(wanted.name);
    if (underWay !== undefined) return underWay.answer;
    if (this.#lookups.size >= this.#options.maxLookups) {
      throw unavailable("Too many keys are being checked at once: try again, or raise maxKeyLookups.");
    }
    const changes: GrantChange[] = [];
    const answer = this.#fetchGrant(wanted, changes).finally(() => this.#lookups.delete(wanted.name));
    this.#lookups.set(wanted.name, { answer, changes });
    return answer;
  }

  async #fetchGrant(wanted: WantedKey, changes: GrantChange[]): Promise<Grant> {
    for (let attempt = 1; attempt <= MAX_LOOKUP_ATTEMPTS; attempt += 1) {
      changes.length = 0;
      const key = await wanted.find(this.#options.store);
      if (key === undefined) {
        const keyId = wanted.keyId(this.#ids);
        if (keyId !== undefined) this.#keys.delete(keyId);
        this.#unknown.set(wanted.name, this.#now());
        throw wanted.revoked();
      }
      const named = { keyId: key.id, tenant: key.tenant };
      if (changes.some((change) => matchesChange(named, change))) continue;
      const grant = toGrant(key);
      const hash = key.hash.toString("base64");
      this.#keys.set(key.id, { grant, hash, checkedAtMs: this.#now() });
      this.#ids.set(hash, key.id);
      return grant;
    }
    throw unavailable("This key keeps changing while it is checked: try again.");
  }
}

function toGrant(key: StoredKey): Grant {
  const filters = readGrantFilters(key.where);
  if (filters === undefined) {
    throw new RealtimeError(
      "forbidden",
      'The filters of this key cannot be read, so it grants nothing: make a new key, with a correct "where".',
    );
  }
  return {
    tenant: key.tenant,
    plan: key.plan,
    keyId: key.id,
    role: key.role,
    collections: key.collections ?? undefined,
    topics: key.collections === null ? undefined : [],
    ...(filters.size === 0 ? {} : { filters, keyFilters: filters }),
  };
}

function unavailable(sentence: string): RealtimeError {
  return new RealtimeError("key_store_unavailable", sentence, { retryAfterSeconds: 1 });
}
