import type { SourceEvent } from "../change-source.ts";
import { bsonJson, documentIdText } from "./bson-json.ts";
import { committedAtMs, type RawChange, type TenantChange } from "./change.ts";
import type { MongoCollection } from "./collections.ts";
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

/** A tenant's change as the log takes it; its position only, when there is no document to deliver. */
export function encodeChange(
  collection: MongoCollection,
  change: RawChange,
  { tenant, type, document }: TenantChange,
  time: ClusterTime,
  place: number,
): SourceEvent | string {
  const documentId = documentIdText(valueAt(change.documentKey, ["_id"]));
  const json = document === undefined ? undefined : bsonJson(document, collection.hidden);
  const isLookedUp = change.operationType === "update";
  const position = eventPosition(time, place, eventDigest(type, documentId, isLookedUp ? undefined : json));
  if (json === undefined) return position;
  return {
    channel: { tenant, collection: collection.name },
    position,
    committedAtMs: committedAtMs(change, time),
    body: { type, documentId, document: json },
  };
}
