import { RealtimeError } from "@paperdb/protocol";
import type { Db, Document, MongoClient } from "mongodb";
import type { Logger } from "pino";
import type { Filter } from "../../filter/filter.ts";
import { toMongo } from "../../filter/to-mongo.ts";
import type { Snapshot, SnapshotDocument, SnapshotNarrowing } from "../change-source.ts";
import type { SnapshotSettings } from "../snapshot-settings.ts";
import { bsonJson, documentIdText } from "./bson-json.ts";
import type { CollectionStream } from "./collection-stream.ts";
import type { MongoCollection } from "./collections.ts";
import { membersJson } from "./encode-change.ts";
import { outerNames } from "./filter-needs.ts";
import { hiddenFields } from "./pipeline.ts";
import { barrierPosition, timeOf } from "./position.ts";
import type { ServerClock } from "./replica-set.ts";
import { SnapshotCursor } from "./snapshot-cursor.ts";
import { storedForms } from "./stored-forms.ts";
import { tenantForms, tenantText, valueAt } from "./tenant-value.ts";

/** What a snapshot is read with. */
export interface SnapshotRequest {
  readonly client: MongoClient;
  readonly db: Db;
  readonly clock: ServerClock;
  /** Of the collection; it has the tenant. */
  readonly stream: CollectionStream;
  readonly tenant: string;
  /** Whether the server reads at the time that it is asked for, see {@link pinsReads}. */
  readonly isPinned: boolean;
  readonly narrowing: SnapshotNarrowing | undefined;
  readonly settings: SnapshotSettings;
  /** A larger document fails the reading, as it would reset the channel. */
  readonly maxDocumentBytes: number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Reads a tenant's documents at one cluster time: they have the effect of every event up to it, and of none after it.
 *
 * A server that only speaks MongoDB's protocol may read as of now instead. Of what is written meanwhile its documents
 * may have the effect already, so all of it follows: the client ends with the right documents, but may be told of a
 * change that it has.
 */
export async function takeSnapshot(request: SnapshotRequest): Promise<Snapshot> {
  const { client, db, clock, stream, tenant, narrowing, settings, signal, log, isPinned } = request;
  const { name } = stream.collection;
  // What was received before is visible.
  const received = await stream.join({ tenant, collection: name });
  const time = await clock.fetchNow();
  signal.throwIfAborted();
  const query = {
    collection: stream.collection.collection,
    filter: queryOf(stream.collection, tenant, narrowing),
    projection: Object.fromEntries(unwantedFields(request).map((path) => [path, 0])),
    time,
    batchRows: settings.batchRows,
    timeoutMs: settings.timeoutMs,
  };
  const cursor = await SnapshotCursor.open(client, db, query, log);
  const batches = batchesOf(cursor, request);
  if (!isPinned) {
    return {
      since: received,
      batches,
      seam: () => Promise.resolve({ position: received, saw: () => false }),
    };
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

async function* batchesOf(
  cursor: SnapshotCursor,
  request: SnapshotRequest,
): AsyncGenerator<readonly SnapshotDocument[]> {
  const { signal, settings } = request;
  try {
    for (;;) {
      signal.throwIfAborted();
      const documents = await cursor.next();
      signal.throwIfAborted();
      if (documents === undefined) return;
      let batch: SnapshotDocument[] = [];
      let bytes = 0;
      for (const document of documents) {
        const encoded = encode(document, request);
        if (encoded === undefined) continue;
        const { length } = encoded.document;
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

/** Undefined for another tenant's: a query finds a value in a list as well, and by the collection's collation. */
function encode(
  document: unknown,
  { stream, tenant, narrowing, maxDocumentBytes }: SnapshotRequest,
): SnapshotDocument | undefined {
  const { name, tenantField, hidden } = stream.collection;
  if (tenantText(valueAt(document, tenantField.split("."))) !== tenant) return undefined;
  const json = bsonJson(document, hidden);
  if (json.length > maxDocumentBytes) {
    throw new RealtimeError(
      "collection_not_usable",
      `The collection "${name}" has a document of more than ${String(maxDocumentBytes)} bytes, so there is no snapshot of it: raise mongodb.maxDocumentBytes.`,
    );
  }
  return {
    documentId: documentIdText(valueAt(document, ["_id"])),
    document: json,
    ...(narrowing?.granted === undefined || hidden.size === 0
      ? {}
      : { hidden: hiddenJson(document, hidden) }),
  };
}

/** Fields that have something hidden inside, as a whole. */
function hiddenJson(document: unknown, hidden: ReadonlySet<string>): string {
  if (typeof document !== "object" || document === null) throw new Error("A document is none.");
  return membersJson(document, outerNames(hidden));
}

/** Hidden fields, unless a grant may ask for them. */
function unwantedFields({ stream, narrowing }: SnapshotRequest): readonly string[] {
  return narrowing?.granted === undefined ? hiddenFields(stream.collection) : [];
}

function queryOf(
  { tenantField, hidden }: MongoCollection,
  tenant: string,
  narrowing: SnapshotNarrowing | undefined,
): Document {
  const conditions = [
    { [tenantField]: { $in: tenantForms(tenant) } },
    // A client's filter sees a hidden field as missing, a query sees its value.
    hidden.size > 0 ? undefined : mongoOf(narrowing?.wanted),
    mongoOf(narrowing?.granted),
  ];
  return { $and: conditions.filter((condition) => condition !== undefined) };
}

function mongoOf(filter: Filter | undefined): Document | undefined {
  return filter === undefined ? undefined : toMongo(filter, storedForms);
}
