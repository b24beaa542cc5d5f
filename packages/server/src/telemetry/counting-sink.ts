import type { ChangeSink, SourceEvent } from "../source/change-source.ts";

/** A sink that tells how many events of each collection go through it. */
export function countingSink(
  sink: ChangeSink,
  count: (collection: string, events: number) => void,
): ChangeSink {
  return {
    append(events: readonly SourceEvent[]) {
      for (const { channel } of events) count(channel.collection, 1);
      return sink.append(events);
    },
    lost: (channels, position, reason) => sink.lost(channels, position, reason),
    dropped: (collection, reason) => sink.dropped(collection, reason),
  };
}
