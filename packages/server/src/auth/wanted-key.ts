import { timingSafeEqual } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import type { BoundedCache } from "./bounded-cache.ts";
import type { KeyStore, StoredKey } from "./key-store.ts";

/** What has to be remembered of a key to know it again. */
export interface RememberedKey {
  readonly hash: Buffer;
}

/** A key to look up: by its text's hash, or by its id. */
export interface WantedKey {
  /** What it is remembered by while it is looked up, or when it is unknown. */
  readonly name: string;
  /** Its id, where that is known. @param ids - hash → key id. */
  keyId(ids: BoundedCache<string>): string | undefined;
  /** Whether what is remembered of its id is this key: it may have got another text. */
  isSame(remembered: RememberedKey): boolean;
  find(store: KeyStore): Promise<StoredKey | undefined>;
  /** For when there is none. */
  revoked(): RealtimeError;
}

/** The key of a text. */
export function byHash(hash: Buffer): WantedKey {
  const text = hash.toString("base64");
  return {
    name: `hash ${text}`,
    keyId: (ids) => ids.get(text),
    isSame: (remembered) => remembered.hash.equals(hash),
    async find(store) {
      const key = await store.findByHash(hash);
      return key !== undefined && timingSafeEqual(key.hash, hash) ? key : undefined;
    },
    revoked: () =>
      new RealtimeError(
        "key_revoked",
        "This key is unknown or was revoked: use one that the tenant has now.",
      ),
  };
}

/** The key that a token names. */
export function byId(keyId: string): WantedKey {
  return {
    name: `id ${keyId}`,
    keyId: () => keyId,
    isSame: () => true,
    async find(store) {
      return (await store.findByIds([keyId])).find(({ id }) => id === keyId);
    },
    revoked: () =>
      new RealtimeError(
        "key_revoked",
        "The key that made this token was revoked: mint tokens with one that the tenant has now.",
      ),
  };
}
