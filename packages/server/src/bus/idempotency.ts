import { createHash } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";
import { BoundedCache } from "../cache/bounded-cache.ts";

/** How long, and how many, idempotency keys are remembered. */
export interface IdempotencySettings {
  readonly idempotencyWindowMs: number;
  readonly maxIdempotencyKeys: number;
}

interface Remembered {
  readonly bodyHash: string;
  readonly eventId: string;
  readonly atMs: number;
}

/** Remembers which publish requests were carried out, so that a retry does not publish twice. */
export class IdempotencyKeys {
  readonly #windowMs: number;
  readonly #remembered: BoundedCache<Remembered>;

  constructor({ idempotencyWindowMs, maxIdempotencyKeys }: IdempotencySettings) {
    this.#windowMs = idempotencyWindowMs;
    this.#remembered = new BoundedCache(maxIdempotencyKeys);
  }

  /**
   * The id of the event that this request made already, if any.
   *
   * @throws {RealtimeError} `idempotency_conflict`, when the key came with another body.
   */
  find(tenant: string, key: string, body: string): string | undefined {
    const known = this.#remembered.get(entryKey(tenant, key));
    if (known === undefined || known.atMs <= Date.now() - this.#windowMs) return undefined;
    if (known.bodyHash === hash(body)) return known.eventId;
    throw new RealtimeError(
      "idempotency_conflict",
      "This Idempotency-Key was used for another body. Use a new key for each event.",
    );
  }

  remember(tenant: string, key: string, body: string, eventId: string): void {
    const atMs = Date.now();
    this.#remembered.set(entryKey(tenant, key), { bodyHash: hash(body), eventId, atMs });
    while ((this.#remembered.oldest?.atMs ?? atMs) <= atMs - this.#windowMs) this.#remembered.deleteOldest();
  }
}

function entryKey(tenant: string, key: string): string {
  return `${tenant}\0${key}`;
}

function hash(body: string): string {
  return createHash("sha256").update(body).digest("base64");
}
