import type { Position } from "@paperdb/protocol";
import type { SourceEvent } from "../change-source.ts";
import { attribute } from "./change.ts";
import { encodeChange, isPriorUnknown, Places } from "./encode-change.ts";
import { documentLength } from "./members.ts";
import { ENDING_EVENTS } from "./pipeline.ts";
import { clusterTimeMs, contradicts, isBarrier, placeKey, timeOf } from "./position.ts";
import { StreamReader, type StreamRequest } from "./stream-reader.ts";

/** Which events to read again. */
export interface ReplayRequest {
  readonly tenant: string;
  /** Exclusive. */
  readonly since: Position;
  /** Inclusive. */
  readonly until: Position;
  /** Updates without their prior documents are of no use. */
  readonly needsPrior: boolean;
  /** The tenant's stream, but for where it begins. */
  readonly stream: Omit<StreamRequest, "tenants" | "from" | "maxAwaitTimeMs">;
}

/** A replay ends with the first answer without events, so it need not be held for long. */
const MAX_AWAIT_TIME_MS = 50;

/**
 * Reads a tenant's events between two positions by a stream of its own.
 *
 * @returns undefined when they cannot be had completely: too old or too much, the
 *   oplog begins later, or the event at `since` is another one than it was.
 */
export async function replay(request: ReplayRequest): Promise<readonly SourceEvent[] | undefined> {
  const { since, until, stream } = request;
  const { settings } = stream;
  const deadlineMs = Date.now() + settings.replayTimeoutMs;
  const ageMs = clusterTimeMs(timeOf(until)) - clusterTimeMs(timeOf(since));
  if (ageMs > settings.maxReplayAgeMs) return undefined;
  const reader = await StreamReader.open({
    ...stream,
    tenants: [request.tenant],
    from: timeOf(since),
    maxAwaitTimeMs: MAX_AWAIT_TIME_MS,
  });
  try {
    return await readBetween(reader, request, deadlineMs);
  } finally {
    await reader.close();
  }
}

async function readBetween(
  reader: StreamReader,
  { tenant, since, until, needsPrior, stream }: ReplayRequest,
  deadlineMs: number,
): Promise<readonly SourceEvent[] | undefined> {
  const { collection, settings } = stream;
  const places = new Places();
  const events: SourceEvent[] = [];
  let bytes = 0;
  let hasMetSince = isBarrier(since);
  for (;;) {
    if (Date.now() >= deadlineMs) return undefined;
    const read = await reader.next();
    if (read === "idle") {
      if (!reader.hasReached(timeOf(until))) continue;
      return hasMetSince ? events : undefined;
    }
    const { change, time } = read;
    if (ENDING_EVENTS.includes(String(change.operationType))) return undefined;
    for (const tenantChange of attribute(change, collection)) {
      if (tenantChange.tenant !== tenant) continue;
      const place = places.take(tenant, time);
      const event = encodeChange(collection, change, tenantChange, time, place, stream.withHidden);
      const position = typeof event === "string" ? event : event.position;
      if (contradicts(position, since)) return undefined;
      if (position === since) hasMetSince = true;
      if (placeKey(position) <= placeKey(since)) continue;
      if (placeKey(position) > placeKey(until)) return hasMetSince ? events : undefined;
      if (contradicts(position, until)) return undefined;
      if (typeof event === "string") continue;
      if (documentLength(event) > settings.maxDocumentBytes) return undefined;
      if (needsPrior && isPriorUnknown(event)) return undefined;
      bytes += documentLength(event);
      events.push(event);
      if (events.length > settings.maxReplayEvents || bytes > settings.maxReplayBytes) return undefined;
    }
    if (time > timeOf(until)) return hasMetSince ? events : undefined;
  }
}
