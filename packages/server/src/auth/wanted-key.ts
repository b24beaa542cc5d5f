import { timingSafeEqual } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import type { BoundedCache } from "../cache/bounded-cache.ts";
import type { KeyStore, StoredKey } from "./key-store.ts";

/** What has to be remembered of a key to know it again. */
export interface RememberedKey {
  /** Its text's, as base64. */
  readonly hash: string;
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

/** The key of a text. @param hash - the text's, as base64. */
export function byHash(hash: string): WantedKey {
  return {
    name: `hash ${hash}`,
    keyId: (ids) => ids.get(hash),
    isSame: (remembered) => remembered.hash === hash,
    async find(store) {
      const wanted = Buffer.from(hash, "base64");
      const key = await store.findByHash(wanted);
      return key !== undefined && timingSafeEqual(key.hash, wanted) ? key : undefined;
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
