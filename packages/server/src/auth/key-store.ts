import type { KeyRole } from "./grant.ts";

/** A key as stored, with its tenant's plan. */
export interface StoredKey {
  readonly id: string;
  /** SHA-256 of the key's text. */
  readonly hash: Buffer;
  readonly role: KeyRole;
  /** The only collections that it grants; null: all. */
  readonly collections: readonly string[] | null;
  /** Filters by collection, as stored: what is granted of them; null: all. */
  readonly where?: unknown;
  readonly tenant: string;
  readonly plan: string;
}

/** Where keys are looked up. */
export interface KeyStore {
  /** Undefined for a key that does not exist. @throws {RealtimeError} `key_store_unavailable`. */
  findByHash(hash: Buffer): Promise<StoredKey | undefined>;
  /** Those of these ids that exist. @throws {RealtimeError} `key_store_unavailable`. */
  findByIds(ids: readonly string[]): Promise<readonly StoredKey[]>;
}
