import { RealtimeError } from "@paperdb/protocol";
import { TOPICS } from "../source/change-source.ts";
import type { Channel } from "./channel.ts";
import type { EventFilter } from "./delivery.ts";

/**
 * Filters that cannot be found by an equality are tried on each change, so all of a channel together are bounded.
 *
 * @throws {RealtimeError} `too_many_filters` when one more would be too much.
 */
export function requireRoomFor(
  channel: Channel,
  filter: EventFilter | undefined,
  maxTriedComparisons: number,
): void {
  if (filter === undefined) return;
  const { tried, added } = channel.triedWith(filter);
  if (added === 0 || tried + added <= maxTriedComparisons) return;
  const limit = String(maxTriedComparisons);
  const { collection } = channel.key;
  throw new RealtimeError(
    "too_many_filters",
    collection === TOPICS
      ? `Each of the tenant's events would be compared with more than ${limit} topic patterns: subscribe to fewer, or to topics without wildcards, or raise filters.maxTriedComparisons.`
      : `Each change of the tenant's "${collection}" would take more than ${limit} comparisons: add an equality that few documents have, such as {"room":"42"}, or raise filters.maxTriedComparisons.`,
    { retryAfterSeconds: 30 },
  );
}
