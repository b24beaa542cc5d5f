import type { Channel } from "../hub/channel.ts";
import type { EventFilter } from "../hub/delivery.ts";
import type { Hub } from "../hub/hub.ts";
import type { OpenSnapshot } from "../hub/snapshot-feed.ts";
import type { ChannelKey } from "../source/change-source.ts";
import type { SourceDirectory } from "../source/source-directory.ts";
import type { DocumentScope } from "./document-scope.ts";

/** Whose documents to open, and which. */
export interface CollectionRequest {
  readonly channel: ChannelKey;
  readonly scope: DocumentScope | undefined;
  readonly cursor: string | undefined;
  /** Whether the documents are wanted before their changes. */
  readonly snapshot: boolean;
}

/** What a subscription begins with. */
export interface OpenCollection {
  readonly channel: Channel;
  /** What of the channel is seen; undefined: everything. */
  readonly filter: EventFilter | undefined;
  /** Undefined where none is asked for, and for a client that goes on from its cursor. */
  readonly opened: OpenSnapshot | undefined;
}

/**
 * Makes a tenant's collection live, and all known that the scope has to know of each change; then takes the snapshot.
 *
 * @param signal - the client is gone.
 * @throws {RealtimeError} `collection_not_found`, `source_unavailable`, `prior_images_required`, `too_many_filters` and what else the source says.
 */
export async function openCollection(
  { hub, directory }: { readonly hub: Hub; readonly directory: SourceDirectory },
  { channel: key, scope, cursor, snapshot }: CollectionRequest,
  signal?: AbortSignal,
): Promise<OpenCollection> {
  const source = await directory.find(key.collection);
  // First of all: from then on no update is in the history that a filter cannot judge.
  if (scope !== undefined) await source.needPrior?.(key.collection, scope.grantedFields);
  const channel = await hub.open(source, key, cursor);
  try {
    const filter = scope?.filterOf(source);
    hub.admit(channel, filter);
    const opened = snapshot ? await hub.openSnapshot(channel, { filter, cursor }, signal) : undefined;
    return { channel, filter, opened };
  } catch (error) {
    hub.release(channel);
    throw error;
  }
}
