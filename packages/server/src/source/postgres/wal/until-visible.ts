import { setTimeout as sleep } from "node:timers/promises";
import type { Visibility } from "../snapshot/visibility.ts";

const POLL_MS = 10;

/**
 * Waits until a transaction that was streamed is visible, and with it what it did to the catalog: a commit is streamed
 * before, with synchronous replication for as long as a standby takes. After `timeoutMs` it is not waited for any longer.
 */
export async function untilVisible(
  transaction: number,
  fetchVisibility: () => Promise<Visibility>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const visibility = await fetchVisibility();
    if (visibility.sees(transaction) || performance.now() >= deadlineMs) return;
    await sleep(POLL_MS, undefined, { signal });
  }
}
