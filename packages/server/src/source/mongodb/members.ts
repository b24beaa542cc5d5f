import type { Position } from "@paperdb/protocol";
import type { Logger } from "pino";
import type { ChannelKey, SourceEvent } from "../change-source.ts";
import { attribute, type RawChange } from "./change.ts";
import type { MongoCollection } from "./collections.ts";
import { encodeChange, isPriorUnknown, Places } from "./encode-change.ts";
import { reasonOf } from "./errors.ts";
import type { EventBuffer } from "./event-buffer.ts";
import type { FilterNeeds } from "./filter-needs.ts";
import { Member } from "./member.ts";
import {
  barrierPosition,
  contradicts,
  eventPosition,
  placeKey,
  positionAbove,
  type ClusterTime,
} from "./position.ts";
import type { MongoStats } from "./stats.ts";

/** How an event was read. */
export interface Reading {
  /** It has its hidden fields. */
  readonly withHidden: boolean;
  /** It was not read before: what is not above a member's place was missed. */
  readonly isCaughtUp: boolean;
}

/** What {@link Members} work with. */
export interface MembersOptions {
  readonly collection: MongoCollection;
  readonly buffer: EventBuffer;
  readonly needs: Readonly<FilterNeeds>;
  readonly maxDocumentBytes: number;
  readonly stats: MongoStats;
  readonly log: Logger;
}

/** A digest above all others: for the position of an event that is not delivered. */
const HIGHEST_DIGEST = "ffffffff";

/** The tenants in a collection's stream: each gets its events once and in order, however often they are read. */
export class Members {
  readonly #options: MembersOptions;
  readonly #byTenant = new Map<string, Member>();
  #places = new Places();
  /** As {@link Member.readableSince}, of members to come. */
  #readableSince: Position = "";
  #hasUnknownPrior = false;

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** Updates were delivered whose prior documents nobody knows. */
  get hasUnknownPrior(): boolean {
    return this.#hasUnknownPrior;
  }

  get size(): number {
    return this.#byTenant.size;
  }

  get(tenant: string): Member | undefined {
    return this.#byTenant.get(tenant);
  }

  tenants(): Iterable<string> {
    return this.#byTenant.keys();
  }

  /** The tenant, from now on unless it is a member already. */
  admit(key: ChannelKey, now: ClusterTime): Member {
    let member = this.#byTenant.get(key.tenant);
    if (member === undefined) {
      member = new Member(key, barrierPosition(now), this.#readableSince);
      this.#byTenant.set(key.tenant, member);
    }
    return member;
  }

  /** @returns whether there were any that left before that time. */
  dropLeft(leftBeforeMs: number): boolean {
    let dropped = false;
    for (const [tenant, { leftAtMs }] of this.#byTenant) {
      if (leftAtMs !== undefined && leftAtMs <= leftBeforeMs) dropped = this.#byTenant.delete(tenant);
    }
    return dropped;
  }

  /** When the first of those left that have left; Infinity where none has. */
  get earliestLeftAtMs(): number {
    let earliest = Infinity;
    for (const { leftAtMs = Infinity } of this.#byTenant.values()) earliest = Math.min(earliest, leftAtMs);
    return earliest;
  }

  clear(): void {
    this.#byTenant.clear();
  }

  /** Where the tenant stands when everything up to this time was read and taken. */
  reach(tenant: string, completeTo: ClusterTime): Position | undefined {
    return this.#byTenant.get(tenant)?.reach(barrierPosition(completeTo));
  }

  /** What follows is read from the beginning of a cluster time. */
  startReading(): void {
    this.#places = new Places();
  }

  /** Delivers an event to those members that it belongs to and that have not had it. */
  take(change: RawChange, time: ClusterTime, { withHidden, isCaughtUp }: Reading): void {
    for (const tenantChange of attribute(change, this.#options.collection)) {
      const member = this.#byTenant.get(tenantChange.tenant);
      if (member === undefined) continue;
      const place = this.#places.take(tenantChange.tenant, time);
      const position = eventPosition(time, place, HIGHEST_DIGEST);
      if (position <= member.lastPosition && !isCaughtUp) continue;
      const isLast = placeKey(position) === placeKey(member.lastPosition);
      if (position <= member.reachedPosition && !isLast) {
        this.#late(member);
        continue;
      }
      const encode = (): SourceEvent | string =>
        encodeChange(this.#options.collection, change, tenantChange, time, place, withHidden);
      this.#deliver(member, this.#readable(encode), time, place);
    }
  }

  /** Changes of all members may be missing before now. */
  lost(now: ClusterTime, reason: string): void {
    this.#hasUnknownPrior = false;
    const members = [...this.#byTenant.values()];
    const position = members.reduce((highest, { reachedPosition }) => {
      const above = positionAbove(reachedPosition);
      return above > highest ? above : highest;
    }, barrierPosition(now));
    this.#readableSince = position;
    for (const member of members) member.skipTo(position);
    const keys = members.map(({ key }) => key);
    this.#options.buffer.lost(keys, position, reason);
  }

  #deliver(member: Member, event: SourceEvent | string | undefined, time: ClusterTime, place: number): void {
    const { buffer, maxDocumentBytes, needs, stats } = this.#options;
    const skipped = eventPosition(time, place, HIGHEST_DIGEST);
    if (event === undefined) {
      this.#skip(member, skipped, "change_not_readable");
      return;
    }
    const position = typeof event === "string" ? event : event.position;
    if (contradicts(position, member.lastPosition)) {
      this.#options.log.warn("A change that was read again is another one");
      this.#skip(member, skipped, "history_changed");
      return;
    }
    if (placeKey(position) === placeKey(member.lastPosition)) return;
    if (typeof event !== "string" && documentLength(event) > maxDocumentBytes) {
      this.#skip(member, skipped, "change_too_large");
      return;
    }
    if (typeof event !== "string" && isPriorUnknown(event)) {
      if (needs.prior) {
        this.#skip(member, skipped, "prior_unknown");
        return;
      }
      this.#hasUnknownPrior = true;
    }
    member.moveTo(position);
    if (typeof event === "string") return;
    stats.changes += 1;
    buffer.push(event);
  }

  #readable(encode: () => SourceEvent | string): SourceEvent | string | undefined {
    try {
      return encode();
    } catch (error) {
      this.#options.log.warn({ reason: reasonOf(error) }, "A change cannot be read");
      return undefined;
    }
  }

  #skip(member: Member, position: Position, reason: string): void {
    member.skipTo(position);
    this.#options.buffer.lost([member.key], position, reason);
  }

  /** MongoDB does not do that. */
  #late(member: Member): void {
    this.#options.log.warn("A change came after others that are later");
    this.#skip(member, positionAbove(member.reachedPosition), "change_late");
  }
}

/** Of the larger of an event's documents, in UTF-16 units, which is near enough for a bound. */
export function documentLength({ body }: SourceEvent): number {
  return "document" in body ? Math.max(body.document.length, body.prior?.length ?? 0) : 0;
}
