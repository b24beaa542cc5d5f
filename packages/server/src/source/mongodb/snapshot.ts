import { setTimeout as sleep } from "node:timers/promises";
import { RealtimeError } from "@paperdb/protocol";
import type { Position } from "@paperdb/protocol";
import type { Db, MongoClient } from "mongodb";
import type { Logger } from "pino";
import type { Snapshot, SnapshotDocument, SnapshotNarrowing } from "../change-source.ts";
import type { SnapshotSettings } from "../snapshot-settings.ts";
import type { CollectionStream } from "./collection-stream.ts";
import { classify, codeOf, reasonOf } from "./errors.ts";
import { barrierPosition, timeOf, type ClusterTime } from "./position.ts";
import type { ServerClock } from "./replica-set.ts";
import { SnapshotCursor } from "./snapshot-cursor.ts";
import {
  encodeDocument,
  snapshotFilter,
  snapshotProjection,
  type DocumentsRequest,
} from "./snapshot-documents.ts";
import { unpinnedSnapshot, type UnpinnedRequest } from "./unpinned-snapshot.ts";

const SNAPSHOT_UNAVAILABLE = 246;
/** About two seconds. */
const MAX_ATTEMPTS = 20;
const PAUSE_MS = 100;

/** What a snapshot is read with. */
export interface SnapshotRequest {
  /** The source's name. */
  readonly source: string;
  readonly client: MongoClient;
  readonly db: Db;
  readonly clock: ServerClock;
  /** Of the collection; it has the tenant. */
  readonly stream: CollectionStream;
  readonly tenant: string;
  /** Whether the server reads at the time that it is asked for, see {@link pinsReads}. */
  readonly isPinned: () => Promise<boolean>;
  readonly narrowing: SnapshotNarrowing | undefined;
  /** Reads the tenant's events again. */
  readonly replay: UnpinnedRequest["replay"];
  readonly settings: SnapshotSettings;
  /** See {@link DocumentsRequest}. */
  readonly maxDocumentBytes: number;
  /** See {@link UnpinnedRequest}. */
  readonly maxRememberedDocuments: number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Reads a tenant's documents at one cluster time: they have the effect of every event up to it, and of none after it.
 *
 * A server that only speaks MongoDB's protocol may read as of now instead, see {@link unpinnedSnapshot}.
 */
export async function takeSnapshot(request: SnapshotRequest): Promise<Snapshot> {
  const taken = await explaining(request, () => take(request));
  return {
    since: taken.since,
    batches: explained(taken.batches, request),
    seam: () => explaining(request, () => taken.seam()),
  };
}

async function take(request: SnapshotRequest): Promise<Snapshot> {
  const { stream, tenant, signal } = request;
  const isPinned = await request.isPinned();
  // What was received before is visible.
  const received = await stream.join({ tenant, collection: stream.collection.name });
  const { cursor, time } = await openAtNow(request);
  const batches = batchesOf(cursor, request);
  if (!isPinned) {
    const delivered = (last: Position): Promise<void> => stream.delivered(tenant, last, signal);
    return unpinnedSnapshot(received, batches, { ...request, delivered });
  }
  const position = barrierPosition(time);
  // Begun now, since the stream may take a moment when it has nothing to send.
  const reached = stream.reached(time, signal);
  reached.catch(() => undefined);
  return {
    since: position,
    batches,
    seam: async () => {
      await reached;
      return { position, saw: (event) => timeOf(event.position) <= time };
    },
  };
}

/** A server refuses times before the last change of the collection's definition, which a majority may not have yet. */
async function openAtNow(
  request: SnapshotRequest,
): Promise<{ readonly cursor: SnapshotCursor; readonly time: ClusterTime }> {
  const { client, db, clock, settings, signal, log } = request;
  const documents = documentsOf(request);
  const query = {
    collection: documents.collection.collection,
    filter: snapshotFilter(documents),
    projection: snapshotProjection(documents),
    batchRows: settings.batchRows,
    timeoutMs: settings.timeoutMs,
  };
  for (let attempt = 1; ; attempt += 1) {
    const time = await clock.fetchNow();
    signal.throwIfAborted();
    try {
      return { cursor: await SnapshotCursor.open(client, db, { ...query, time }, log), time };
    } catch (error) {
      if (codeOf(error) !== SNAPSHOT_UNAVAILABLE || attempt >= MAX_ATTEMPTS) throw error;
    }
    await sleep(PAUSE_MS, undefined, { signal });
  }
}

/** What fails is told as clients get it. */
async function explaining<T>(request: SnapshotRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    request.signal.throwIfAborted();
    throw snapshotError(error, request);
  }
}

/** As {@link explaining}, for what is read in batches. */
async function* explained<T>(batches: AsyncIterable<T>, request: SnapshotRequest): AsyncGenerator<T> {
  try {
    yield* batches;
  } catch (error) {
    request.signal.throwIfAborted();
    throw snapshotError(error, request);
  }
}

async function* batchesOf(
  cursor: SnapshotCursor,
  request: SnapshotRequest,
): AsyncGenerator<readonly SnapshotDocument[]> {
  const { signal, settings } = request;
  const wanted = documentsOf(request);
  try {
    for (;;) {
      signal.throwIfAborted();
      const documents = await cursor.next();
      signal.throwIfAborted();
      if (documents === undefined) return;
      let batch: SnapshotDocument[] = [];
      let bytes = 0;
      for (const document of documents) {
        const encoded = encodeDocument(document, wanted);
        if (encoded === undefined) continue;
        const length = encoded.document.length + (encoded.hidden?.length ?? 0);
        if (batch.length > 0 && bytes + length > settings.batchBytes) {
          yield batch;
          batch = [];
          bytes = 0;
        }
        batch.push(encoded);
        bytes += length;
      }
      if (batch.length > 0) yield batch;
    }
  } finally {
    await cursor.close();
  }
}

function documentsOf({ stream, tenant, narrowing, maxDocumentBytes }: SnapshotRequest): DocumentsRequest {
  return { collection: stream.collection, tenant, narrowing, maxDocumentBytes };
}

/** A failure as clients get it. */
function snapshotError(error: unknown, { source, stream, log }: SnapshotRequest): RealtimeError {
  if (error instanceof RealtimeError) return error;
  const collection = stream.collection.name;
  log.warn({ collection, reason: reasonOf(error) }, "Cannot read a snapshot");
  if (classify(error) === "unauthorized") {
    return new RealtimeError(
      "collection_not_usable",
      `The server may not read the documents of the collection "${collection}": grant its MongoDB user the role read, see docs/mongodb.md.`,
      { cause: error },
    );
  }
  return new RealtimeError(
    "source_unavailable",
    `The source "${source}" cannot give a snapshot at the moment: try again.`,
    { cause: error, retryAfterSeconds: 1 },
  );
}
