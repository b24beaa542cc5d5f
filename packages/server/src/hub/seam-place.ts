import type { Position } from "@paperdb/protocol";
import type { ChannelHistory } from "../log/change-log.ts";

/** The place after a position of the source, which may be newer than all of the channel; undefined when events after it are forgotten. */
export function placeAfter(history: ChannelHistory, position: Position): number | undefined {
  const { completeSince } = history;
  if (completeSince === undefined || position < completeSince) return undefined;
  return history.indexAfter(position) ?? history.headIndex;
}
