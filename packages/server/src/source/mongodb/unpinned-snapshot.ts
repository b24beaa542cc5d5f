import type { Position } from "@paperdb/protocol";
import type {
  Snapshot,
  SnapshotDocument,
  SnapshotNarrowing,
  SnapshotSeam,
  SourceEvent,
} from "../change-source.ts";
import { barrierPosition } from "./position.ts";
import type { ServerClock } from "./replica-set.ts";
import { ReadDocuments } from "./seen-events.ts";

/** What an {@link unpinnedSnapshot} is made of. */
export interface UnpinnedRequest {
  readonly narrowing: SnapshotNarrowing | undefined;
  /** Of a snapshot with more, all changes since it was begun follow. */
  readonly maxRememberedDocuments: number;
  readonly clock: Pick<ServerClock, "fetchNow">;
  /** The tenant's events between two positions; undefined when they cannot be had. */
  readonly replay: (since: Position, until: Position) => Promise<readonly SourceEvent[] | undefined>;
  /** Resolves once the log has the tenant's events up to this one. */
  readonly delivered: (position: Position) => Promise<void>;
}

/**
 * A snapshot whose documents were read one after the other, while others wrote. Which changes they have is told by what
 * the documents were like; of what cannot be told, all changes follow.
 *
 * @param since - what was delivered up to it was there before the reading began.
 */
export function unpinnedSnapshot(
  since: Position,
  batches: AsyncIterable<readonly SnapshotDocument[]>,
  request: UnpinnedRequest,
): Snapshot {
  const read = new ReadDocuments(request.narrowing, request.maxRememberedDocuments);
  return {
    since,
    batches: remembered(batches, read),
    seam: () => seamAfter(since, read, request),
  };
}

async function* remembered(
  batches: AsyncIterable<readonly SnapshotDocument[]>,
  read: ReadDocuments,
): AsyncGenerator<readonly SnapshotDocument[]> {
  for await (const batch of batches) {
    for (const document of batch) read.add(document);
    yield batch;
  }
}

async function seamAfter(
  since: Position,
  read: ReadDocuments,
  { clock, replay, delivered }: UnpinnedRequest,
): Promise<SnapshotSeam> {
  const until = barrierPosition(await clock.fetchNow());
  const events = read.isWhole ? await replay(since, until) : undefined;
  const last = events?.at(-1);
  if (events === undefined || last === undefined) return { position: since, saw: () => false };
  await delivered(last.position);
  return { position: last.position, saw: read.seenOf(events) };
}
