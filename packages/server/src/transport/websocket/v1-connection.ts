import { ERRORS, RealtimeError, type ClientMessage, type SubscribeMessage } from "@paperdb/protocol";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { Grant } from "../../auth/grant.ts";
import type { DeliveryTarget } from "../../hub/delivery.ts";
import type { ConnectionInfo } from "../connection-registry.ts";
import { ChannelSubscription, type Channels } from "./channel-subscription.ts";
import { readClientMessage, type ReceivedMessage } from "./client-messages.ts";
import { ConnectionTarget, type TargetEvents } from "./connection-target.ts";
import { WebSocketConnection, type ConnectionOptions } from "./connection.ts";
import { snapshotHead, V1_EVENTS } from "./event-frames.ts";
import { Inbox } from "./inbox.ts";
import { EMPTY_HEARTBEAT, errorFrame, greetingFrames, serverFrame } from "./server-frames.ts";
import { requireSubject, scopeOf, subjectOf } from "./subject.ts";
import { SubscriptionTable } from "./subscription-table.ts";
import { Throttle } from "./throttle.ts";

/** Bounds on one client. */
interface V1Limits {
  readonly maxMessagesPerSecond: number;
  readonly maxSubscriptions: number;
}

/** What a connection needs of the rest of the server. */
export interface V1Dependencies {
  readonly channels: Channels;
  readonly limits: V1Limits;
  /** Of a client's filter. */
  readonly filterLimits: FilterLimits;
  /** @throws {RealtimeError} */
  authenticateToken(token: string): Promise<Grant>;
  /** Something failed that is not the client's fault, and that it is not told in full. */
  onInternalError(error: unknown): void;
}

/** A WebSocket of subprotocol `paperdb.v1`. */
export class V1Connection extends WebSocketConnection {
  readonly #dependencies: V1Dependencies;
  readonly #throttle: Throttle;
  readonly #inbox: Inbox<ReceivedMessage>;
  readonly #subscriptions: SubscriptionTable;
  /** Those that were unsubscribed meanwhile included. */
  #openings = 0;

  constructor(dependencies: V1Dependencies, options: ConnectionOptions) {
    super(options);
    const { maxMessagesPerSecond, maxSubscriptions } = dependencies.limits;
    this.#dependencies = dependencies;
    this.#throttle = new Throttle(maxMessagesPerSecond, this.flow);
    this.#inbox = new Inbox(this.#throttle, (received) => this.#handle(received));
    this.#subscriptions = new SubscriptionTable(maxSubscriptions);
  }

  override async open(): Promise<void> {
    // Nothing is subscribed to until the client asks.
  }

  protected override started(): void {
    // Nothing is sent until the client asks.
  }

  protected override get subjects(): Pick<ConnectionInfo, "collections" | "topics" | "grant"> {
    return { ...this.#subscriptions.subjects, grant: this.grant };
  }

  protected override release(): void {
    this.#throttle.close();
    this.#inbox.clear();
    this.#subscriptions.endAll();
  }

  override received(data: Buffer, isBinary: boolean): void {
    this.#inbox.receive(readClientMessage(data, isBinary));
  }

  override receivedControl(): void {
    this.#throttle.take();
  }

  /** Nothing more is asked of us until the answers are read. */
  override answer(frames: Buffer): boolean {
    const keepsUp = super.answer(frames);
    if (!keepsUp) this.#throttle.hold("unread");
    return keepsUp;
  }

  override drained(): void {
    this.#subscriptions.resume();
    this.#throttle.release("unread");
  }

  override progressed(): void {
    this.#subscriptions.progressed();
  }

  /** Subscriptions have heartbeats of their own, with their cursors. */
  override beat(): void {
    super.beat();
    if (this.keepsUp && !this.#subscriptions.hasHeartbeats) this.answer(EMPTY_HEARTBEAT);
  }

  #handle(received: ReceivedMessage): Promise<void> | undefined {
    switch (received.kind) {
      case "message":
        return this.#handleMessage(received.message);
      case "refused":
        this.answer(errorFrame(this.#subscriptions.whyTaken(received.id) ?? received.error, received.id));
        return undefined;
      case "violation":
        this.answer(errorFrame(received.error));
        this.close("protocol_error", received.error.message);
        return undefined;
    }
  }

  #handleMessage(message: ClientMessage): Promise<void> | undefined {
    switch (message.type) {
      case "subscribe":
        return this.#subscribe(message);
      case "unsubscribe":
        this.#subscriptions.end(message.id);
        return undefined;
      case "auth":
        return this.#renew(message.token);
    }
  }

  #subscribe(message: SubscribeMessage): Promise<void> | undefined {
    const { id, cursor, snapshot } = message;
    const { channels, limits, filterLimits } = this.#dependencies;
    let subscription: ChannelSubscription;
    try {
      const taken = this.#subscriptions.whyTaken(id);
      if (taken !== undefined) throw taken;
      const subject = subjectOf(message, filterLimits);
      requireSubject(this.grant, subject);
      this.#subscriptions.requireRoom(subject);
      const { tenant } = this.grant;
      const scope = scopeOf(this.grant, subject);
      subscription = new ChannelSubscription(channels, {
        tenant,
        subject,
        scope,
        cursor,
        snapshot,
      });
    } catch (error) {
      this.answer(errorFrame(this.#explain(error), id));
      return undefined;
    }
    this.#subscriptions.add(id, subscription);
    const opened = this.#open(id, subscription);
    // A client that subscribes and unsubscribes faster than channels open waits for them.
    return this.#openings > limits.maxSubscriptions ? opened : undefined;
  }

  async #open(id: string, subscription: ChannelSubscription): Promise<void> {
    this.#openings += 1;
    try {
      await subscription.open();
      subscription.start(this.#target(id, subscription), V1_EVENTS);
    } catch (error) {
      const reason = this.#explain(error);
      if (!subscription.isOver) this.#endWith(id, reason);
    } finally {
      this.#openings -= 1;
    }
  }

  #target(id: string, subscription: ChannelSubscription): DeliveryTarget {
    const events: TargetEvents = {
      greet: (greeting) => this.answer(greetingFrames(id, greeting)),
      dropped: () => {
        if (subscription.isOver) return;
        const sentence = "The collection was dropped: subscribe again once it is there.";
        this.#endWith(id, new RealtimeError("collection_not_found", sentence));
      },
      failed: (error) => {
        if (!subscription.isOver) this.#endWith(id, error);
      },
    };
    return new ConnectionTarget(this, events, {
      write: (documents, channel) => {
        this.write(snapshotHead(id, channel, documents));
        return this.write(documents);
      },
      reset: (reason) => this.answer(serverFrame({ type: "reset", id, reason })),
    });
  }

  /** A fresh token. What it does not grant ends; until it is found to be good, the old one counts. */
  async #renew(token: string): Promise<void> {
    let grant: Grant;
    try {
      grant = await this.#dependencies.authenticateToken(token);
    } catch (error) {
      const reason = this.#explain(error);
      if (reason.retryable) this.answer(errorFrame(reason));
      else this.close("token_expired", reason.message);
      return;
    }
    if (this.isOver) return;
    if (grant.tenant !== this.grant.tenant) {
      this.close("forbidden", "The token is another tenant's: connect anew with it.");
      return;
    }
    this.grant = grant;
    const reopened = this.#subscriptions
      .entries()
      .flatMap(([id, subscription]) => this.#judge(id, subscription) ?? []);
    // Nor does a client that sends ever other tokens get ahead of the channels that these open.
    if (this.#openings > this.#dependencies.limits.maxSubscriptions) await Promise.all(reopened);
  }

  /** A subscription that the new grant does not allow ends; one that it shows other documents begins anew. */
  #judge(id: string, { request, isLive }: ChannelSubscription): Promise<void> | undefined {
    const { subject } = request;
    try {
      requireSubject(this.grant, subject);
    } catch (error) {
      this.#endWith(id, this.#explain(error));
      return undefined;
    }
    const scope = scopeOf(this.grant, subject);
    if (scope?.id === request.scope?.id) return undefined;
    const cursor = isLive ? undefined : request.cursor;
    const resetReason = isLive ? "grant_changed" : request.resetReason;
    const { channels } = this.#dependencies;
    const subscription = new ChannelSubscription(channels, { ...request, scope, cursor, resetReason });
    return this.#subscriptions.replace(id, subscription) ? this.#open(id, subscription) : undefined;
  }

  #endWith(id: string, reason: RealtimeError): void {
    if (this.#subscriptions.end(id)) this.answer(errorFrame(reason, id));
  }

  #explain(error: unknown): RealtimeError {
    if (error instanceof RealtimeError) return error;
    this.#dependencies.onInternalError(error);
    return new RealtimeError("internal", `${ERRORS.internal.title}; its log has the cause.`, {
      cause: error,
    });
  }
}
