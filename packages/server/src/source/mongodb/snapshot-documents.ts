import { RealtimeError } from "@paperdb/protocol";
import type { Document } from "mongodb";
import type { Filter } from "../../filter/filter.ts";
import { toMongo } from "../../filter/to-mongo.ts";
import type { SnapshotDocument, SnapshotNarrowing } from "../change-source.ts";
import { bsonJson, documentIdText } from "./bson-json.ts";
import type { MongoCollection } from "./collections.ts";
import { membersJson } from "./encode-change.ts";
import { outerNames } from "./filter-needs.ts";
import { hiddenFields } from "./pipeline.ts";
import { storedForms } from "./stored-forms.ts";
import { tenantForms, tenantText, valueAt } from "./tenant-value.ts";

/** Which documents a snapshot has, and how. */
export interface DocumentsRequest {
  readonly collection: MongoCollection;
  readonly tenant: string;
  readonly narrowing: SnapshotNarrowing | undefined;
  /** A larger document fails the reading, as it would reset the channel. */
  readonly maxDocumentBytes: number;
}

/** The tenant's documents, and as far as a query can tell only those that are wanted and granted. */
export function snapshotFilter({ collection, tenant, narrowing }: DocumentsRequest): Document {
  const { tenantField, hidden } = collection;
  const conditions = [
    { [tenantField]: { $in: tenantForms(tenant) } },
    // A client's filter sees a hidden field as missing, a query sees its value.
    hidden.size > 0 ? undefined : mongoOf(narrowing?.wanted),
    mongoOf(narrowing?.granted),
  ];
  return { $and: conditions.filter((condition) => condition !== undefined) };
}

/** Leaves hidden fields in the database, unless a grant may ask for them. */
export function snapshotProjection({ collection, narrowing }: DocumentsRequest): Document {
  const unwanted = narrowing?.granted === undefined ? hiddenFields(collection) : [];
  return Object.fromEntries(unwanted.map((path) => [path, 0]));
}

/**
 * A document as the snapshot has it. Undefined for another tenant's: a query finds a value in a list as well, and by the
 * collection's collation.
 *
 * @throws {RealtimeError} `collection_not_usable`: it is too large.
 */
export function encodeDocument(
  document: unknown,
  { collection, tenant, narrowing, maxDocumentBytes }: DocumentsRequest,
): SnapshotDocument | undefined {
  const { name, tenantField, hidden } = collection;
  if (tenantText(valueAt(document, tenantField.split("."))) !== tenant) return undefined;
  const json = bsonJson(document, hidden);
  if (json.length > maxDocumentBytes) {
    throw new RealtimeError(
      "collection_not_usable",
      `The collection "${name}" has a document of more than ${String(maxDocumentBytes)} bytes, so there is no snapshot of it: raise mongodb.maxDocumentBytes.`,
    );
  }
  const isHiddenWanted = narrowing?.granted !== undefined && hidden.size > 0;
  return {
    documentId: documentIdText(valueAt(document, ["_id"])),
    document: json,
    ...(isHiddenWanted ? { hidden: hiddenJson(document, hidden) } : {}),
  };
}

/** Fields that have something hidden inside, as a whole. */
function hiddenJson(document: unknown, hidden: ReadonlySet<string>): string {
  if (typeof document !== "object" || document === null) throw new Error("A document is none.");
  return membersJson(document, outerNames(hidden));
}

function mongoOf(filter: Filter | undefined): Document | undefined {
  return filter === undefined ? undefined : toMongo(filter, storedForms);
}
