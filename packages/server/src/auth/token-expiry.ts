import type { Grant } from "./grant.ts";

/** The longest wait that a timer of Node takes. */
const MAX_TIMER_MS = 2_147_483_647;

/**
 * Calls back once when the token that a grant comes from has expired; never for a key.
 *
 * @returns what takes the call back; it must be called when the connection ends first.
 */
export function onTokenExpiry(grant: Pick<Grant, "token">, expired: () => void): () => void {
  if (grant.token === undefined) return () => undefined;
  const { expiresAtMs } = grant.token;
  let timer: NodeJS.Timeout;
  const wait = (): void => {
    const leftMs = expiresAtMs - Date.now();
    timer = setTimeout(() => (leftMs > MAX_TIMER_MS ? wait() : expired()), Math.min(leftMs, MAX_TIMER_MS));
    timer.unref();
  };
  wait();
  return () => clearTimeout(timer);
}
