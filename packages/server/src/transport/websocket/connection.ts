import { randomUUID } from "node:crypto";
import { RealtimeError, type CloseReason } from "@paperdb/protocol";
import type { Grant } from "../../auth/grant.ts";
import { onTokenExpiry } from "../../auth/token-expiry.ts";
import {
  drainingError,
  type ConnectionInfo,
  type DisconnectReason,
  type RegisteredConnection,
} from "../connection-registry.ts";
import type { LivePeer } from "./liveness.ts";
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

/** What a connection is made of. */
export interface ConnectionOptions {
  readonly grant: Grant;
  readonly remoteAddress: string;
  /** It was ended before the handshake was answered. */
  readonly onEndedEarly: (refusal: RealtimeError) => void;
  /** The server closes it: by a close code, or because its peer gives no sign of life. */
  readonly onClosing: (reason: CloseReason | "unresponsive") => void;
  /** Its TCP connection is gone. */
  readonly onClosed: (connection: WebSocketConnection) => void;
}

/** One WebSocket, from the moment its token was found to be good. */
export abstract class WebSocketConnection implements RegisteredConnection, PeerEvents, LivePeer {
  readonly id: string = randomUUID();
  readonly #openedAt = new Date().toISOString();
  readonly #options: ConnectionOptions;
  #grant: Grant;
  #cancelExpiry: () => void;
  #peer: Peer | undefined;
  #isOver = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#grant = options.grant;
    this.#cancelExpiry = onTokenExpiry(options.grant, () => this.#end("expired"));
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

  get grant(): Grant {
    return this.#grant;
  }

  /** Replaces the grant, and with it the moment when the connection ends. */
  protected set grant(grant: Grant) {
    this.#cancelExpiry();
    this.#grant = grant;
    if (!this.#isOver) this.#cancelExpiry = onTokenExpiry(grant, () => this.#end("expired"));
  }

  get tenant(): string {
    return this.#grant.tenant;
  }

  get keyId(): string {
    return this.#grant.keyId;
  }

  get info(): ConnectionInfo {
    return {
      id: this.id,
      tenant: this.tenant,
      keyId: this.keyId,
      transport: "websocket",
      ...this.subjects,
      ...(this.#grant.keyFilters === undefined ? {} : { keyFilters: this.#grant.keyFilters }),
      byToken: this.#grant.token !== undefined,
      remoteAddress: this.#options.remoteAddress,
      openedAt: this.#openedAt,
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

  start(peer: Peer): void {
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
    if (!this.#isOver) this.#options.onClosing(reason);
    this.#peer?.close(reason, sentence, maxWaitMs);
  }

  /** Writes events. */
  write(frames: Buffer): boolean {
    return this.#peer?.write(frames) ?? false;
  }

  /** Writes what the client has asked for. */
  answer(frames: Buffer): boolean {
    return this.#peer?.answer(frames) ?? false;
  }

  beat(): void {
    this.#peer?.ping();
  }

  cut(): void {
    this.#options.onClosing("unresponsive");
    this.#peer?.cut();
  }

  unread(): void {
    this.close("slow_consumer", "The answers were not read fast enough.");
  }

  closing(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelExpiry();
    this.release();
  }

  closed(): void {
    this.#options.onClosed(this);
  }

  /** How reading from the client stops, and goes on. */
  protected readonly flow: ClientFlow = {
    pause: () => this.#peer?.pause(),
    resume: () => this.#peer?.resume(),
  };

  #end(ending: Ending): void {
    const { close, sentence, refusal, maxWaitMs } = ENDINGS[ending];
    if (this.#peer === undefined) this.#options.onEndedEarly(refusal());
    else this.close(close, sentence, maxWaitMs);
  }
}
