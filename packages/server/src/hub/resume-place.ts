import { parseCursor, type Position } from "@paperdb/protocol";
import type { Channel } from "./channel.ts";

/** The place where a client with this cursor goes on; undefined when it has to be reset. */
export function placeOf(channel: Channel, cursor: string): number | undefined {
  const position = positionOf(channel, cursor);
  if (position === undefined) return undefined;
  const index = channel.history.indexAfter(position);
  return index === undefined || isContradicted(channel, position, index) ? undefined : index;
}

/** A cursor's position; undefined when it is none of the channel's source and epoch. */
export function positionOf({ source }: Channel, cursor: string): Position | undefined {
  const parsed = parseCursor(cursor);
  if (parsed?.source !== source.name || parsed.epoch !== source.epoch) return undefined;
  return source.isPosition?.(parsed.position) === false ? undefined : parsed.position;
}

/** Whether the event at the client's place is not the one that it has seen. */
function isContradicted({ history, source }: Channel, position: Position, index: number): boolean {
  const { firstIndex, headIndex } = history;
  for (const neighbour of [index - 1, index]) {
    if (neighbour < firstIndex || neighbour >= headIndex) continue;
    const { event } = history.entryAt(neighbour);
    if (source.contradicts?.(position, event.position) === true) return true;
  }
  return false;
}
