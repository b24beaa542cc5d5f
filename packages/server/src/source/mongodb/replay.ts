import { attribute, type RawChange } from "./change.ts";
import type { MongoCollection } from "./collections.ts";
import { Places } from "./encode-change.ts";
import { ENDING_EVENTS } from "./pipeline.ts";
import { clusterTimeMs, timeOf, type ClusterTime } from "./position.ts";
import { ReplayPart, type ReplayRequest } from "./replay-part.ts";
import { StreamReader } from "./stream-reader.ts";

/** A replay ends with the first answer without events, so it need not be held for long. */
const MAX_AWAIT_TIME_MS = 100;

/**
 * Reads events of some tenants of a collection again by one stream of its own.
 *
 * @param requests - of streams that are the same.
 * @returns a part for each request, which is open still where it has to be tried again with fewer others: all together
 *   they have too many events, or take too long. Refused are those that are too old or too much, those that the oplog
 *   does not reach back to, and those where the event at `since` is another one than it was.
 */
export async function replay(requests: readonly ReplayRequest[]): Promise<readonly ReplayPart[]> {
  const parts = requests.map((request) => new ReplayPart(request));
  const [first] = requests;
  for (const part of parts) if (isTooOld(part.request)) part.refuse();
  const open = parts.filter(({ isOpen }) => isOpen);
  if (first === undefined || open.length === 0) return parts;
  const deadlineMs = Date.now() + first.stream.settings.replayTimeoutMs;
  const reader = await StreamReader.open({
    ...first.stream,
    tenants: new Set(open.map(({ request }) => request.tenant)),
    from: earliest(open),
    maxAwaitTimeMs: MAX_AWAIT_TIME_MS,
  });
  try {
    await readParts(reader, open, deadlineMs);
  } finally {
    await reader.close();
  }
  return parts;
}

async function readParts(
  reader: StreamReader,
  parts: readonly ReplayPart[],
  deadlineMs: number,
): Promise<void> {
  const reading = new Reading(parts);
  while (reading.isOpen && Date.now() < deadlineMs) {
    const read = await reader.next();
    if (read === "idle" && !reader.hasReached(reading.until)) continue;
    if (read === "idle" || read.time > reading.until) return reading.end();
    reading.take(read.change, read.time);
  }
}

/** What is read for several parts. */
class Reading {
  /** Of the part that ends last. */
  readonly until: ClusterTime;
  readonly #parts: readonly ReplayPart[];
  readonly #byTenant = new Map<string, ReplayPart[]>();
  readonly #places = new Places();
  readonly #maxBytes: number;
  readonly #collection: MongoCollection;
  #bytes = 0;
  #open: number;

  constructor(parts: readonly ReplayPart[]) {
    const [first] = parts;
    if (first === undefined) throw new Error("There is nothing to read.");
    const { collection, settings } = first.request.stream;
    this.#collection = collection;
    this.#maxBytes = settings.maxReplayBytes;
    this.#parts = parts;
    this.#open = parts.length;
    this.until = parts.map(({ request }) => timeOf(request.until)).reduce((a, b) => (a > b ? a : b));
    for (const part of parts) {
      const { tenant } = part.request;
      const others = this.#byTenant.get(tenant) ?? [];
      this.#byTenant.set(tenant, [...others, part]);
    }
  }

  /** Whether there is a part that needs more, and room for it. */
  get isOpen(): boolean {
    return this.#open > 0 && this.#bytes <= this.#maxBytes;
  }

  take(change: RawChange, time: ClusterTime): void {
    if (ENDING_EVENTS.includes(String(change.operationType))) {
      for (const part of this.#parts) part.refuse();
      this.#open = 0;
      return;
    }
    for (const tenantChange of attribute(change, this.#collection)) {
      const place = this.#places.take(tenantChange.tenant, time);
      for (const part of this.#byTenant.get(tenantChange.tenant) ?? []) {
        if (!part.isOpen) continue;
        this.#bytes += part.take(change, tenantChange, time, place);
        if (!part.isOpen) this.#open -= 1;
      }
    }
  }

  /** All was read. */
  end(): void {
    for (const part of this.#parts) part.end();
    this.#open = 0;
  }
}

function isTooOld({ since, until, stream }: ReplayRequest): boolean {
  const ageMs = clusterTimeMs(timeOf(until)) - clusterTimeMs(timeOf(since));
  return ageMs > stream.settings.maxReplayAgeMs;
}

function earliest(parts: readonly ReplayPart[]): ClusterTime {
  return parts.map(({ request }) => timeOf(request.since)).reduce((a, b) => (a < b ? a : b));
}
