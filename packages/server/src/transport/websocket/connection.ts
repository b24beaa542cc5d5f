import { randomUUID } from "node:crypto";
import { RealtimeError, type CloseReason } from "@paperdb/protocol";
import type { Grant } from "../../auth/grant.ts";
import type { ExpiringGrant, TokenExpiries } from "../../auth/token-expiries.ts";
import {
  drainingError,
  type ConnectionAccess,
  type ConnectionInfo,
  type DisconnectReason,
  type RegisteredConnection,
} from "../connection-registry.ts";
import type { Handshake } from "./handshake.ts";
import { LifeSigns, type LivePeer } from "./liveness.ts";
import type { Peer, PeerEvents } from "./peer.ts";
import type { ClientFlow } from "./throttle.ts";

type Ending = DisconnectReason | "expired";

/** How a client is told, and how one that waits for its handshake is. */
interface Told {
  readonly close: CloseReason;
  readonly sentence: string;
  readonly refusal: () => RealtimeError;
  /** A client that does not answer the close frame is cut after so long; absent: after the usual time. */
  readonly maxWaitMs?: number;
}

const ENDINGS: Readonly<Record<Ending, Told>> = {
  expired: {
    close: "token_expired",
    sentence: "The token has expired.",
    refusal: () =>
      new RealtimeError(
        "token_expired",
        "The token has expired while the connection was opened: fetch a fresh one.",
      ),
  },
  revoked: {
    close: "token_expired",
    sentence: "The token was revoked, with its key, its tenant or its plan.",
    refusal: () =>
      new RealtimeError(
        "key_revoked",
        "The token was revoked while the connection was opened, with its key, its tenant or its plan.",
      ),
    // Within a second of the revocation it is gone.
    maxWaitMs: 500,
  },
  admin: {
    close: "disconnected",
    sentence: "An operator ended the connection.",
    refusal: () => new RealtimeError("draining", "An operator ended the connection: try again."),
  },
  draining: {
    close: "draining",
    sentence: "The server is shutting down.",
    refusal: drainingError,
    maxWaitMs: 1000,
  },
};

/** What connections need of the rest of the server: the same for all. */
export interface ConnectionDependencies {
  readonly expiries: TokenExpiries;
  /** The server closes it: by a close code, or because its peer gives no sign of life. */
  onClosing(reason: CloseReason | "unresponsive"): void;
  /** Its TCP connection is gone. */
  onClosed(connection: WebSocketConnection): void;
}

/** One WebSocket, from the moment its token was found to be good. */
export abstract class WebSocketConnection
  implements RegisteredConnection, PeerEvents, LivePeer, ExpiringGrant, ClientFlow
{
  readonly life: LifeSigns = new LifeSigns();
  expiryIndex = -1;
  readonly #dependencies: ConnectionDependencies;
  readonly #openedAtMs = Date.now();
  #id: string | undefined;
  #grant: Grant;
  /** Until the handshake is answered. */
  #handshake: Handshake | undefined;
  #peer: Peer | undefined;
  #isOver = false;

  constructor(dependencies: ConnectionDependencies, grant: Grant, handshake: Handshake) {
    this.#dependencies = dependencies;
    this.#grant = grant;
    this.#handshake = handshake;
    dependencies.expiries.add(this);
  }

  /** Makes live what must be so before the handshake is answered. */
  abstract open(): Promise<void>;
  /** The handshake was answered. */
  protected abstract started(): void;
  /** Leaves every subscription. */
  protected abstract release(): void;
  protected abstract readonly subjects: Pick<ConnectionInfo, "collections" | "topics" | "grant">;
  abstract received(data: Buffer, isBinary: boolean): void;
  abstract receivedControl(): void;
  abstract drained(): void;
  abstract progressed(): void;

  /** Made when it is asked for, which is seldom. */
  get id(): string {
    this.#id ??= randomUUID();
    return this.#id;
  }

  get grant(): Grant {
    return this.#grant;
  }

  /** Replaces the grant, and with it the moment when the connection ends. */
  protected set grant(grant: Grant) {
    const { expiries } = this.#dependencies;
    expiries.delete(this);
    this.#grant = grant;
    if (!this.#isOver) expiries.add(this);
  }

  get expiresAtMs(): number | undefined {
    return this.#grant.token?.expiresAtMs;
  }

  expired(): void {
    this.#end("expired");
  }

  get tenant(): string {
    return this.#grant.tenant;
  }

  get keyId(): string {
    return this.#grant.keyId;
  }

  get access(): ConnectionAccess {
    return {
      tenant: this.tenant,
      keyId: this.keyId,
      ...this.subjects,
      ...(this.#grant.keyFilters === undefined ? {} : { keyFilters: this.#grant.keyFilters }),
      byToken: this.#grant.token !== undefined,
    };
  }

  get info(): ConnectionInfo {
    return {
      id: this.id,
      transport: "websocket",
      ...this.access,
      remoteAddress: (this.#peer ?? this.#handshake)?.remoteAddress ?? "",
      openedAt: new Date(this.#openedAtMs).toISOString(),
    };
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get keepsUp(): boolean {
    return this.#peer?.keepsUp ?? false;
  }

  get signsOfLife(): number {
    return this.#peer?.signsOfLife ?? 0;
  }

  get isHeldBack(): boolean {
    return this.#peer?.isPaused ?? false;
  }

  /** Undefined until the handshake is answered. */
  get peer(): Peer | undefined {
    return this.#peer;
  }

  start(peer: Peer): void {
    this.#handshake = undefined;
    this.#peer = peer;
    this.started();
  }

  /** The handshake failed. */
  abandon(): void {
    this.closing();
    this.closed();
  }

  end(reason: DisconnectReason): void {
    this.#end(reason);
  }

  /** @param maxWaitMs - see {@link Peer.close}. */
  close(reason: CloseReason, sentence: string, maxWaitMs?: number): void {
    if (!this.#isOver) this.#dependencies.onClosing(reason);
    this.#peer?.close(reason, sentence, maxWaitMs);
  }

  /** Writes what the client has asked for. */
  answer(frames: Buffer): boolean {
    return this.#peer?.answer(frames) ?? false;
  }

  beat(): void {
    this.#peer?.ping();
  }

  cut(): void {
    this.#dependencies.onClosing("unresponsive");
    this.#peer?.cut();
  }

  unread(): void {
    this.close("slow_consumer", "The answers were not read fast enough.");
  }

  closing(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#dependencies.expiries.delete(this);
    this.release();
  }

  closed(): void {
    this.#dependencies.onClosed(this);
  }

  pause(): void {
    this.#peer?.pause();
  }

  resume(): void {
    this.#peer?.resume();
  }

  #end(ending: Ending): void {
    const { close, sentence, refusal, maxWaitMs } = ENDINGS[ending];
    if (this.#peer === undefined) this.#handshake?.refuse(refusal());
    else this.close(close, sentence, maxWaitMs);
  }
}
