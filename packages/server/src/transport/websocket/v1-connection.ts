import type { ClientMessage } from "@paperdb/protocol";
import type { Grant } from "../../auth/grant.ts";
import type { ConnectionInfo } from "../connection-registry.ts";
import { readClientMessage, type ReceivedMessage } from "./client-messages.ts";
import { WebSocketConnection, type ConnectionDependencies } from "./connection.ts";
import type { Handshake } from "./handshake.ts";
import { Inbox, type MessageHandler } from "./inbox.ts";
import { EMPTY_HEARTBEAT, errorFrame } from "./server-frames.ts";
import { Throttle, type ThrottleLimits } from "./throttle.ts";
import { V1Subscriptions, type V1SubscriptionsDependencies } from "./v1-subscriptions.ts";

/** What a connection needs of the rest of the server. */
export interface V1Dependencies extends ConnectionDependencies, V1SubscriptionsDependencies {
  readonly limits: ThrottleLimits & { readonly maxSubscriptions: number };
  /** @throws {RealtimeError} */
  authenticateToken(token: string): Promise<Grant>;
}

/** A WebSocket of subprotocol `paperdb.v1`. */
export class V1Connection extends WebSocketConnection implements MessageHandler<ReceivedMessage> {
  readonly #dependencies: V1Dependencies;
  readonly #throttle: Throttle;
  readonly #inbox: Inbox<ReceivedMessage>;
  readonly #subscriptions: V1Subscriptions;

  constructor(dependencies: V1Dependencies, grant: Grant, handshake: Handshake) {
    super(dependencies, grant, handshake);
    this.#dependencies = dependencies;
    this.#throttle = new Throttle(dependencies.limits, this);
    this.#inbox = new Inbox(this.#throttle, this);
    this.#subscriptions = new V1Subscriptions(dependencies, this);
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

  handle(received: ReceivedMessage): Promise<void> | undefined {
    switch (received.kind) {
      case "message":
        return this.#handleMessage(received.message);
      case "refused":
        this.#subscriptions.refuse(received.error, received.id);
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
        return this.#subscriptions.subscribe(message);
      case "unsubscribe":
        this.#subscriptions.end(message.id);
        return undefined;
      case "auth":
        return this.#renew(message.token);
    }
  }

  /** A fresh token. What it does not grant ends; until it is found to be good, the old one counts. */
  async #renew(token: string): Promise<void> {
    let grant: Grant;
    try {
      grant = await this.#dependencies.authenticateToken(token);
    } catch (error) {
      const reason = this.#subscriptions.explain(error);
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
    await this.#subscriptions.regrant();
  }
}
