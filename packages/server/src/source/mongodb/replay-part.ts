import type { Position } from "@paperdb/protocol";
import type { SourceEvent } from "../change-source.ts";
import type { RawChange, TenantChange } from "./change.ts";
import { encodeChange, isPriorUnknown } from "./encode-change.ts";
import { documentLength } from "./members.ts";
import { contradicts, isBarrier, placeKey, timeOf, type ClusterTime } from "./position.ts";
import type { StreamRequest } from "./stream-reader.ts";

/** Which events of a tenant to read again. */
export interface ReplayRequest {
  readonly tenant: string;
  /** Exclusive. */
  readonly since: Position;
  /** Inclusive. */
  readonly until: Position;
  /** Updates without their prior documents are of no use. */
  readonly needsPrior: boolean;
  /** The collection's stream, but for where it begins and for whom. */
  readonly stream: Omit<StreamRequest, "tenants" | "from" | "maxAwaitTimeMs">;
}

/** The events; undefined when they cannot be had completely. */
export type Replayed = readonly SourceEvent[] | undefined;

/** One request's part of what a stream reads. */
export class ReplayPart {
  readonly request: ReplayRequest;
  readonly #events: SourceEvent[] = [];
  #bytes = 0;
  #hasMetSince: boolean;
  #isOpen = true;
  #result: Replayed;

  constructor(request: ReplayRequest) {
    this.request = request;
    this.#hasMetSince = isBarrier(request.since);
  }

  /** Whether it needs more. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Once it is not open any more. */
  get result(): Replayed {
    return this.#result;
  }

  /**
   * Takes an event of the tenant.
   *
   * @returns by how much it has grown.
   */
  take(change: RawChange, tenantChange: TenantChange, time: ClusterTime, place: number): number {
    const { since, until, stream, needsPrior } = this.request;
    if (time < timeOf(since)) return 0;
    const { collection, withHidden, settings } = stream;
    const event = encodeChange(collection, change, tenantChange, time, place, withHidden);
    const position = typeof event === "string" ? event : event.position;
    if (contradicts(position, since) || contradicts(position, until)) return this.refuse();
    if (position === since) this.#hasMetSince = true;
    if (placeKey(position) <= placeKey(since)) return 0;
    if (placeKey(position) > placeKey(until)) return this.end();
    if (typeof event === "string") return 0;
    const length = documentLength(event);
    if (length > settings.maxDocumentBytes || (needsPrior && isPriorUnknown(event))) return this.refuse();
    this.#bytes += length;
    this.#events.push(event);
    const isTooMuch = this.#events.length > settings.maxReplayEvents || this.#bytes > settings.maxReplayBytes;
    return isTooMuch ? this.refuse() : length;
  }

  /** All up to `until` was read. */
  end(): 0 {
    return this.#close(this.#hasMetSince ? this.#events : undefined);
  }

  /** The events cannot be had. */
  refuse(): 0 {
    return this.#close(undefined);
  }

  #close(result: Replayed): 0 {
    if (this.#isOpen) this.#result = result;
    this.#isOpen = false;
    return 0;
  }
}
