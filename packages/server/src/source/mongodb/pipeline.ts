import type { Document } from "mongodb";
import type { MongoCollection } from "./collections.ts";
import { tenantForms } from "./tenant-value.ts";

/** What the server's version can do. */
export interface ServerFeatures {
  /** Pre- and post-images: MongoDB 6.0. */
  readonly images: boolean;
  /** `$changeStreamSplitLargeEvent`: MongoDB 6.0.9. */
  readonly splitsLargeEvents: boolean;
}

/** Events that end a stream of a collection. */
export const ENDING_EVENTS: readonly string[] = ["drop", "rename", "dropDatabase", "invalidate"];

/**
 * The pipeline of a collection's change stream: only events of these tenants, by the
 * current or the prior document, leave the database, and without hidden fields, unless filters need them.
 * A list of too many tenants would be larger than a request may be.
 *
 * The names of changed fields are needed to tell a move from a document that was
 * looked up after it had moved; of their values, the tenant's only.
 */
export function changePipeline(
  collection: MongoCollection,
  tenants: Iterable<string> | "all",
  features: ServerFeatures,
  withHidden: boolean,
): Document[] {
  const { tenantField } = collection;
  const stages: Document[] = tenants === "all" ? [] : [{ $match: belongingTo(tenants, tenantField) }];
  stages.push({ $project: projection(tenantField) });
  const stripped = withHidden ? [] : hiddenFields(collection);
  const hidden = stripped.flatMap((path) => [`fullDocument.${path}`, `fullDocumentBeforeChange.${path}`]);
  if (hidden.length > 0) stages.push({ $project: Object.fromEntries(hidden.map((path) => [path, 0])) });
  if (features.splitsLargeEvents) stages.push({ $changeStreamSplitLargeEvent: {} });
  return stages;
}

function belongingTo(tenants: Iterable<string>, tenantField: string): Document {
  const forms = [...tenants].flatMap(tenantForms);
  return {
    $or: [
      { operationType: { $in: ENDING_EVENTS } },
      { [`fullDocument.${tenantField}`]: { $in: forms } },
      { [`fullDocumentBeforeChange.${tenantField}`]: { $in: forms } },
    ],
  };
}

function projection(tenantField: string): Document {
  return {
    operationType: 1,
    clusterTime: 1,
    wallTime: 1,
    documentKey: 1,
    fullDocument: 1,
    fullDocumentBeforeChange: 1,
    ...(isTopLevel(tenantField)
      ? {
          [`updateDescription.updatedFields.${tenantField}`]: 1,
          "updateDescription.removedFields": 1,
        }
      : {}),
  };
}

/** Whether an update's description names the field by a path that a projection can address. */
function isTopLevel(field: string): boolean {
  return !field.includes(".");
}

/** Paths that need not be sent. The tenant's field is needed here to attribute an event; it is left out of the JSON. */
export function hiddenFields({ hidden, tenantField }: MongoCollection): readonly string[] {
  const paths = [...hidden].filter(
    (path) => path !== "_id" && path !== tenantField && !tenantField.startsWith(`${path}.`),
  );
  // The server refuses a path inside another one.
  return paths.filter((path) => !paths.some((other) => path.startsWith(`${other}.`)));
}
