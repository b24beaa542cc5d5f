import type { ChangeLog } from "../log/change-log.ts";
import type { Channel } from "./channel.ts";
import { positionOf } from "./resume-place.ts";

/** A client whose history is forgotten meanwhile is tried once more. */
const ATTEMPTS = 2;

/**
 * Completes a channel's history back to a client's cursor, from the source's own log.
 * Where that cannot be done the history stays as it is, and the client is reset.
 */
export async function reachBack(channel: Channel, cursor: string, log: ChangeLog): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    // One at a time: what is read for one client serves the next.
    while (channel.reachingBack !== undefined) await channel.reachingBack;
    if (!isNeeded(channel, cursor)) return;
    const done = complete(channel, cursor, log);
    channel.reachingBack = done.then(settle, settle);
    const result = await done;
    if (result !== "overtaken") return;

    function settle(): void {
      channel.reachingBack = undefined;
    }
  }
}

function isNeeded(channel: Channel, cursor: string): boolean {
  const position = positionOf(channel, cursor);
  const { completeSince } = channel.history;
  if (position === undefined || completeSince === undefined) return false;
  return channel.source.replay !== undefined && position < completeSince;
}

async function complete(channel: Channel, cursor: string, log: ChangeLog): Promise<"ended" | "overtaken"> {
  const { history, source, key } = channel;
  const { completeSince, generation } = history;
  const since = positionOf(channel, cursor);
  if (since === undefined || completeSince === undefined) return "ended";
  const events = await source.replay?.(key, since, completeSince);
  if (events === undefined) return "ended";
  if (history.generation !== generation || history.completeSince !== completeSince) return "overtaken";
  log.prepend(history, events, since);
  return "ended";
}
