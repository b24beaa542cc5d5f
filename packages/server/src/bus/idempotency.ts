import { createHash } from "node:crypto";
import { RealtimeError } from "@paperdb/protocol";

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
  readonly #settings: IdempotencySettings;
  /** Oldest first. */
  readonly #remembered = new Map<string, Remembered>();

  constructor(settings: IdempotencySettings) {
    this.#settings = settings;
  }

  /**
   * The id of the event that this request made already, if any.
   *
   * @throws {RealtimeError} `idempotency_conflict`, when the key came with another body.
   */
  find(tenant: string, key: string, body: string): string | undefined {
    const known = this.#remembered.get(entryKey(tenant, key));
    if (known === undefined || known.atMs <= Date.now() - this.#settings.idempotencyWindowMs)
      return undefined;
    if (known.bodyHash === hash(body)) return known.eventId;
    throw new RealtimeError(
      "idempotency_conflict",
      "This Idempotency-Key was used for another body. Use a new key for each event.",
    );
  }

  remember(tenant: string, key: string, body: string, eventId: string): void {
    const entry = entryKey(tenant, key);
    this.#remembered.delete(entry);
    this.#remembered.set(entry, { bodyHash: hash(body), eventId, atMs: Date.now() });
    const keepFromMs = Date.now() - this.#settings.idempotencyWindowMs;
    for (const [oldest, { atMs }] of this.#remembered) {
      if (this.#remembered.size <= this.#settings.maxIdempotencyKeys && atMs > keepFromMs) return;
      this.#remembered.delete(oldest);
    }
  }
}

function entryKey(tenant: string, key: string): string {
  return `${tenant}\0${key}`;
}

function hash(body: string): string {
  return createHash("sha256").update(body).digest("base64");
}
