import type { DocumentChange } from "@paperdb/protocol";
import type { SourceEvent } from "../change-source.ts";
import { bsonJson, documentIdText } from "./bson-json.ts";
import { committedAtMs, type RawChange, type TenantChange } from "./change.ts";
import type { MongoCollection } from "./collections.ts";
import { outerNames } from "./filter-needs.ts";
import { eventDigest, eventPosition, type ClusterTime } from "./position.ts";
import { valueAt } from "./tenant-value.ts";

/** Counts each tenant's events of one cluster time. Right as long as each time is read from its beginning. */
export class Places {
  readonly #next = new Map<string, { time: ClusterTime; place: number }>();

  take(tenant: string, time: ClusterTime): number {
    const counter = this.#next.get(tenant);
    if (counter === undefined) {
      this.#next.set(tenant, { time, place: 1 });
      return 0;
    }
    if (counter.time !== time) {
      counter.time = time;
      counter.place = 0;
    }
    counter.place += 1;
    return counter.place - 1;
  }
}

/** Whether filters cannot tell what the event is to them: an update whose prior document nobody knows. */
export function isPriorUnknown({ body }: SourceEvent): boolean {
  if ("topic" in body || body.prior !== undefined) return false;
  return body.type === "update" || body.type === "replace";
}

/**
 * A tenant's change as the log takes it; its position only, when there is no document to deliver.
 *
 * @param withHidden - the change has its hidden fields, and filters need them.
 */
export function encodeChange(
  collection: MongoCollection,
  change: RawChange,
  tenantChange: TenantChange,
  time: ClusterTime,
  place: number,
  withHidden: boolean,
): SourceEvent | string {
  const { tenant, type, document, prior } = tenantChange;
  const documentId = documentIdText(valueAt(change.documentKey, ["_id"]));
  const json = document === undefined ? undefined : bsonJson(document, collection.hidden);
  const isLookedUp = change.operationType === "update";
  // A random number that the database gave the collection.
  const { uuid = "" } = collection;
  const digest = eventDigest(uuid, type, documentId, isLookedUp ? undefined : json);
  const position = eventPosition(time, place, digest);
  if (json === undefined) return position;
  return {
    channel: { tenant, collection: collection.name },
    position,
    committedAtMs: committedAtMs(change, time),
    body: {
      type,
      documentId,
      document: json,
      ...(prior === undefined ? {} : { prior: bsonJson(prior, collection.hidden) }),
      ...(withHidden ? hiddenOf(collection, tenantChange) : {}),
    },
  };
}

/** Fields that have something hidden inside, as a whole. */
function hiddenOf(
  { hidden }: MongoCollection,
  { type, document, prior }: TenantChange,
): Pick<DocumentChange, "hidden" | "priorHidden"> {
  const names = outerNames(hidden);
  const before = type === "delete" ? document : prior;
  return {
    ...(type === "delete" || document === undefined ? {} : { hidden: membersJson(document, names) }),
    ...(before === undefined ? {} : { priorHidden: membersJson(before, names) }),
  };
}

/** Some members of a document, as a JSON object. */
export function membersJson(document: object, names: ReadonlySet<string>): string {
  return bsonJson(Object.fromEntries(Object.entries(document).filter(([name]) => names.has(name))));
}
