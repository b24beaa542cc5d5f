import type { Hub } from "../hub/hub.ts";
import { topicFilter } from "../hub/topic-filter.ts";
import { TOPICS } from "../source/change-source.ts";
import type { ChangeSource } from "../source/change-source.ts";
import type { OpenCollection } from "./open-collection.ts";

/** Whose events to open, and which. */
export interface TopicRequest {
  readonly tenant: string;
  readonly pattern: string;
  readonly cursor: string | undefined;
}

/**
 * Opens a tenant's events on the bus.
 *
 * @throws {RealtimeError} `too_many_filters`.
 */
export async function openTopic(
  { hub, bus }: { readonly hub: Hub; readonly bus: ChangeSource },
  { tenant, pattern, cursor }: TopicRequest,
): Promise<OpenCollection> {
  const channel = await hub.open(bus, { tenant, collection: TOPICS }, cursor);
  const filter = topicFilter(pattern);
  try {
    hub.admit(channel, filter);
  } catch (error) {
    hub.release(channel);
    throw error;
  }
  return { channel, filter, opened: undefined };
}
