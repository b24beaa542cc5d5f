import { ERRORS, RealtimeError, type SubscribeMessage } from "@paperdb/protocol";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { ConnectionInfo } from "../connection-registry.ts";
import { ChannelSubscription, type Channels } from "./channel-subscription.ts";
import type { WebSocketConnection } from "./connection.ts";
import type { EventEncoding } from "./event-encoding.ts";
import { errorFrame } from "./server-frames.ts";
import { requireSubject, scopeOf, subjectOf } from "./subject.ts";
import { SubscriptionTable } from "./subscription-table.ts";
import { V1Target, type V1TargetOwner } from "./v1-target.ts";

/** What subscriptions of `paperdb.v1` need of the rest of the server. */
export interface V1SubscriptionsDependencies {
  readonly channels: Channels;
  readonly limits: { readonly maxSubscriptions: number };
  /** Of a client's filter. */
  readonly filterLimits: FilterLimits;
  readonly encoding: EventEncoding;
  /** Something failed that is not the client's fault, and that it is not told in full. */
  onInternalError(error: unknown): void;
}

/** What one client of `paperdb.v1` is subscribed to, as its grant is at the moment. */
export class V1Subscriptions implements V1TargetOwner {
  readonly #dependencies: V1SubscriptionsDependencies;
  readonly #connection: WebSocketConnection;
  readonly #table: SubscriptionTable;
  /** Those that were unsubscribed meanwhile included. */
  #openings = 0;

  constructor(dependencies: V1SubscriptionsDependencies, connection: WebSocketConnection) {
    this.#dependencies = dependencies;
    this.#connection = connection;
    this.#table = new SubscriptionTable(dependencies.limits.maxSubscriptions);
  }

  get encoding(): EventEncoding {
    return this.#dependencies.encoding;
  }

  /** What they are to. */
  get subjects(): Pick<ConnectionInfo, "collections" | "topics"> {
    return this.#table.subjects;
  }

  /** Whether one of them has heartbeats of its own. */
  get hasHeartbeats(): boolean {
    return this.#table.hasHeartbeats;
  }

  /** Answers what is no valid request. @param id - of the subscription, where it has one. */
  refuse(error: RealtimeError, id: string | undefined): void {
    this.#connection.answer(errorFrame(this.#table.whyTaken(id) ?? error, id));
  }

  /** @returns a promise where the client has to wait: it subscribes and unsubscribes faster than channels open. */
  subscribe(message: SubscribeMessage): Promise<void> | undefined {
    const { id, cursor, snapshot } = message;
    const { channels, filterLimits } = this.#dependencies;
    let subscription: ChannelSubscription;
    try {
      const taken = this.#table.whyTaken(id);
      if (taken !== undefined) throw taken;
      const { grant } = this.#connection;
      const subject = subjectOf(message, filterLimits);
      requireSubject(grant, subject);
      this.#table.requireRoom(subject);
      const scope = scopeOf(grant, subject);
      const request = { tenant: grant.tenant, subject, scope, cursor, snapshot };
      subscription = new ChannelSubscription(channels, request);
    } catch (error) {
      this.#connection.answer(errorFrame(this.explain(error), id));
      return undefined;
    }
    this.#table.add(id, subscription);
    const opened = this.#open(id, subscription);
    return this.#isAhead ? opened : undefined;
  }

  /** Ends one. An id that is not known is ignored. */
  end(id: string): void {
    this.#table.end(id);
  }

  /** Ends one, and tells the client why. */
  endWith(id: string, reason: RealtimeError): void {
    if (this.#table.end(id)) this.#connection.answer(errorFrame(reason, id));
  }

  endAll(): void {
    this.#table.endAll();
  }

  /** The peer keeps up again. */
  resume(): void {
    this.#table.resume();
  }

  /** The peer reads, but does not keep up yet. */
  progressed(): void {
    this.#table.progressed();
  }

  /** The connection has another grant. @returns a promise where the client has to wait, as for {@link subscribe}. */
  regrant(): Promise<unknown> | undefined {
    const reopened = this.#table
      .entries()
      .flatMap(([id, subscription]) => this.#judge(id, subscription) ?? []);
    return this.#isAhead ? Promise.all(reopened) : undefined;
  }

  /** What a client is told of a failure. */
  explain(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error;
    this.#dependencies.onInternalError(error);
    return new RealtimeError("internal", `${ERRORS.internal.title}; its log has the cause.`, {
      cause: error,
    });
  }

  /** Whether the client asks for more than it could have at a time. */
  get #isAhead(): boolean {
    return this.#openings > this.#dependencies.limits.maxSubscriptions;
  }

  async #open(id: string, subscription: ChannelSubscription): Promise<void> {
    this.#openings += 1;
    try {
      await subscription.open();
      if (subscription.isOver) return;
      subscription.start(new V1Target(this.#connection, this, id, subscription), this.encoding.v1);
    } catch (error) {
      // Who has left has given it up.
      if (!subscription.isOver) this.endWith(id, this.explain(error));
    } finally {
      this.#openings -= 1;
    }
  }

  /** A subscription that the new grant does not allow ends; one that it shows other documents begins anew. */
  #judge(id: string, { request, isLive }: ChannelSubscription): Promise<void> | undefined {
    const { grant } = this.#connection;
    const { subject } = request;
    try {
      requireSubject(grant, subject);
    } catch (error) {
      this.endWith(id, this.explain(error));
      return undefined;
    }
    const scope = scopeOf(grant, subject);
    if (scope?.id === request.scope?.id) return undefined;
    const cursor = isLive ? undefined : request.cursor;
    const resetReason = isLive ? "grant_changed" : request.resetReason;
    const { channels } = this.#dependencies;
    const subscription = new ChannelSubscription(channels, { ...request, scope, cursor, resetReason });
    return this.#table.replace(id, subscription) ? this.#open(id, subscription) : undefined;
  }
}
