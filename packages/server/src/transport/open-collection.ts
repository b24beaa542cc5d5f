import type { Channel } from "../hub/channel.ts";
import type { Hub } from "../hub/hub.ts";
import type { ChannelKey } from "../source/change-source.ts";
import type { SourceDirectory } from "../source/source-directory.ts";
import type { DocumentScope } from "./document-scope.ts";

/** Whose documents to open, and which. */
export interface CollectionRequest {
  readonly channel: ChannelKey;
  readonly scope: DocumentScope | undefined;
  readonly cursor: string | undefined;
}

/**
 * Makes a tenant's collection live, and all known that the scope has to know of each change.
 *
 * @throws {RealtimeError} `collection_not_found`, `source_unavailable`, `prior_images_required` and what else the source says.
 */
export async function openCollection(
  { hub, directory }: { readonly hub: Hub; readonly directory: SourceDirectory },
  { channel, scope, cursor }: CollectionRequest,
): Promise<Channel> {
  const source = await directory.find(channel.collection);
  // First of all: from then on no update is in the history that a filter cannot judge.
  if (scope !== undefined) await source.needPrior?.(channel.collection, scope.grantedFields);
  return hub.open(source, channel, cursor);
}
