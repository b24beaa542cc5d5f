import type { Position } from "@paperdb/protocol";
import type { ChannelHistory } from "../log/change-log.ts";

/** The place after a position of the source, which may be newer than all of the channel; undefined when events after it are forgotten. */
export function placeAfter(history: ChannelHistory, position: Position): number | undefined {
  if (!reachesBack(history, position)) return undefined;
  return history.indexAfter(position) ?? history.headIndex;
}

/** Whether no event after a position of the source is forgotten. */
export function reachesBack({ completeSince }: ChannelHistory, position: Position): boolean {
  return completeSince !== undefined && position >= completeSince;
}

/** Since when nothing has changed in the channel, whatever else the source has received. */
export function unchangedSince(history: ChannelHistory): Position {
  const { headIndex, firstIndex, completeSince = "" } = history;
  if (headIndex === firstIndex) return completeSince;
  const { position } = history.entryAt(headIndex - 1).event;
  return position > completeSince ? position : completeSince;
}
