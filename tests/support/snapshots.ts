import type { Filter } from "../../packages/server/src/filter/filter.ts";
import { channelId } from "../../packages/server/src/source/change-source.ts";
import type {
  ChangeSource,
  ChannelKey,
  Snapshot,
  SnapshotDocument,
  SnapshotSeam,
  SourceEvent,
} from "../../packages/server/src/source/change-source.ts";
import { parseObject } from "./recording-sink.ts";
import type { RecordingSink } from "./recording-sink.ts";

/** A document as a subscriber holds it. */
type Held = Readonly<Record<string, unknown>>;

/** What a subscriber holds, who notices every change that is missing, comes twice or comes out of order. */
export class StrictState {
  readonly documents = new Map<string, Held>();

  add(documents: readonly SnapshotDocument[]): void {
    for (const { documentId, document } of documents) {
      if (this.documents.has(documentId)) throw new Error(`The snapshot has ${documentId} twice.`);
      this.documents.set(documentId, parseObject(document));
    }
  }

  /** Of documents whose `n` grows by one with each change of them. */
  apply({ body }: SourceEvent): void {
    if (!("documentId" in body)) throw new Error("This is no change.");
    const { type, documentId: id } = body;
    const before = this.documents.get(id);
    const document = parseObject(body.document);
    if ((type === "insert") !== (before === undefined)) {
      throw new Error(`${type} of ${id}, which is ${before === undefined ? "not there" : "there"}.`);
    }
    if (type === "delete") {
      if (before?.["n"] !== document["n"]) throw new Error(`delete of ${id} skips a change.`);
      this.documents.delete(id);
      return;
    }
    if (before !== undefined && document["n"] !== Number(before["n"]) + 1) {
      throw new Error(`update of ${id} from ${String(before["n"])} to ${String(document["n"])}.`);
    }
    this.documents.set(id, document);
  }
}

/** What a subscriber holds who takes each change as it comes. */
export class PatientState extends StrictState {
  override apply({ body }: SourceEvent): void {
    if (!("documentId" in body)) throw new Error("This is no change.");
    if (body.type === "delete") this.documents.delete(body.documentId);
    else this.documents.set(body.documentId, parseObject(body.document));
  }
}

/** Takes a snapshot, which the source must have. @param wanted - a client's filter. */
export async function takeSnapshot(
  source: ChangeSource,
  key: ChannelKey,
  signal: AbortSignal = new AbortController().signal,
  wanted?: Filter,
): Promise<Snapshot> {
  const narrowing = wanted === undefined ? undefined : { id: wanted.id, wanted, granted: undefined };
  const snapshot = await source.snapshot?.(key, narrowing, signal);
  if (snapshot === undefined) throw new Error("The source has no snapshots.");
  return snapshot;
}

/** All documents of a snapshot, in its order. */
export async function readAll(snapshot: Snapshot): Promise<readonly SnapshotDocument[]> {
  const documents: SnapshotDocument[] = [];
  for await (const batch of snapshot.batches) documents.push(...batch);
  return documents;
}

/** The events of a channel that a subscriber of a snapshot gets, of those that were received until now. */
export function eventsAfter(
  sink: RecordingSink,
  key: ChannelKey,
  { since }: Snapshot,
  seam: SnapshotSeam,
): readonly SourceEvent[] {
  return sink.events.filter(
    (event) =>
      channelId(event.channel) === channelId(key) &&
      event.position > since &&
      (event.position > seam.position || !seam.saw(event)),
  );
}
