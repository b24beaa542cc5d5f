import { until } from "./until.ts";

/** Those that a connection holds; there may be a few more for other reasons. */
const OF_CONNECTIONS = ["TCPSocketWrap", "Timeout"] as const;
const MARGIN = 5;

/** What keeps this process's event loop busy, counted by kind. */
export function countResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Resolves once this process has about as many sockets and timers as before. */
export async function untilResourcesAreBack(before: Readonly<Record<string, number>>): Promise<void> {
  for (const name of OF_CONNECTIONS) {
    const atMost = (before[name] ?? 0) + MARGIN;
    await until(() => (countResources()[name] ?? 0) <= atMost, {
      describe: () => `${name}: ${atMost} at most, got ${JSON.stringify(countResources())}`,
    });
  }
}
