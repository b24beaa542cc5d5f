import { RealtimeError } from "@paperdb/protocol";

/** The longest tenant id, in characters (code points). */
const MAX_TENANT_ID_LENGTH = 200;

/** Control characters, and halves of characters, which no database can store. */
const UNUSABLE = /[\p{Cc}\p{Cs}]/u;

/** Whether this can be a tenant: any 1 to 200 characters but control characters. */
export function isTenantId(text: string): boolean {
  const length = Array.from(text).length;
  return length >= 1 && length <= MAX_TENANT_ID_LENGTH && !UNUSABLE.test(text);
}

/** @throws {RealtimeError} `invalid_request`, when this cannot be a tenant. */
export function requireTenantId(text: string): void {
  if (isTenantId(text)) return;
  throw new RealtimeError(
    "invalid_request",
    `A tenant "id" has 1 to ${String(MAX_TENANT_ID_LENGTH)} characters and no control characters.`,
  );
}
