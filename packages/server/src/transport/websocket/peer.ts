import type { Socket } from "node:net";
import { CLOSE_CODES, type CloseReason } from "@paperdb/protocol";
import { SocketWriter, type SocketWriterEvents } from "../socket-writer.ts";
import type { UpgradedWebSocket } from "./upgraded-web-socket.ts";
import { closeFrame, PING_FRAME, pongFrame } from "./websocket-frame.ts";

/** What a {@link Peer} tells its connection. */
export interface PeerEvents extends SocketWriterEvents {
  /** A message, whole. */
  received(data: Buffer, isBinary: boolean): void;
  /** A ping, which is answered here, or a pong. */
  receivedControl(): void;
  /** Answers wait that are not read: more than allowed, or for too long. */
  unread(): void;
  /** The end has begun, from either side: nothing more is read, and nothing written but what waits. */
  closing(): void;
  /** The TCP connection is gone. {@link closing} came before. */
  closed(): void;
}

/** Bounds on one peer. */
export interface PeerLimits {
  /** How long a peer may take to end the connection once we have, in ms. */
  readonly closeTimeoutMs: number;
  /** Answers that may wait for a peer that does not read. */
  readonly maxUnreadAnswerBytes: number;
  /** How long a peer may take nothing while answers wait for it, in ms. */
  readonly writeTimeoutMs: number;
}

const KEEP_ALIVE_PROBE_MS = 30_000;

/**
 * The other end of one WebSocket: writes whole frames, one after the other, and
 * does the closing handshake (RFC 6455, section 7).
 */
export class Peer {
  readonly #webSocket: UpgradedWebSocket;
  readonly #socket: Socket;
  readonly #writer: SocketWriter;
  readonly #limits: PeerLimits;
  readonly #events: PeerEvents;
  #closing = false;
  /** Nothing will be read any more, so once all is written the TCP connection ends. */
  #peerIsDone = false;
  #closeTimer: NodeJS.Timeout | undefined;
  /** Of answers since the peer last kept up. */
  #unreadAnswerBytes = 0;
  /** Runs while the peer takes nothing of what is written here. */
  #unreadTimer: NodeJS.Timeout | undefined;
  /** The payload of the last ping that is not answered yet. */
  #unansweredPing: Buffer | undefined;
  #takenParts = 0;

  constructor(webSocket: UpgradedWebSocket, socket: Socket, limits: PeerLimits, events: PeerEvents) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#limits = limits;
    this.#events = events;
    this.#writer = new SocketWriter(socket, {
      drained: () => this.#drained(),
      progressed: () => this.#progressed(),
    });
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    socket.once("end", () => this.#ended());
    socket.once("close", () => this.#closed());
    webSocket.onPeerDone = (code, reason) => this.#finish(code, reason);
    // A violation of the protocol: onPeerDone was called with its code.
    webSocket.on("error", () => undefined);
    webSocket.on("ping", (payload) => this.#pinged(payload));
    webSocket.on("pong", () => {
      if (!this.#closing) events.receivedControl();
    });
    webSocket.on("message", (data: Buffer, isBinary) => {
      if (!this.#closing) events.received(data, isBinary);
    });
  }

  get keepsUp(): boolean {
    return this.#writer.keepsUp;
  }

  /** Grows whenever the peer has sent or taken something. */
  get signsOfLife(): number {
    return this.#socket.bytesRead + this.#takenParts;
  }

  /** Whether nothing is read. */
  get isPaused(): boolean {
    return this.#webSocket.isPaused;
  }

  /** Writes events; the hub sees to it that they do not pile up. */
  write(frames: Buffer): boolean {
    return !this.#closing && this.#writer.write(frames);
  }

  /** Writes an answer. A peer that asks and does not read is closed at the bound. */
  answer(frames: Buffer): boolean {
    if (this.#closing) return false;
    if (!this.keepsUp) this.#unreadAnswerBytes += frames.length;
    if (this.#unreadAnswerBytes > this.#limits.maxUnreadAnswerBytes) {
      this.#events.unread();
      return false;
    }
    return this.#writeTimed(frames);
  }

  /** Asks for a sign of life, unless something else waits for the peer already. */
  ping(): void {
    if (!this.#closing && this.keepsUp) this.#writeTimed(PING_FRAME);
  }

  /** Stops reading. What was read already may still be received. */
  pause(): void {
    this.#webSocket.pause();
  }

  resume(): void {
    this.#webSocket.resume();
  }

  /**
   * Begins the end: a close frame behind what is being written, then the peer's answer, within a bound.
   * An end that has begun only gets the bound, when it is a shorter one.
   *
   * @param maxWaitMs - what is left of the peer then is cut.
   */
  close(reason: CloseReason, sentence: string, maxWaitMs = Infinity): void {
    const waitMs = Math.min(maxWaitMs, this.#limits.closeTimeoutMs);
    if (this.#closing) {
      if (waitMs < this.#limits.closeTimeoutMs) this.#cutAfter(waitMs);
      return;
    }
    this.#beginEnd(closeFrame(CLOSE_CODES[reason], sentence), waitMs);
    // Its close frame is to be seen.
    this.#webSocket.resume();
  }

  /** Ends the TCP connection at once. */
  cut(): void {
    this.#socket.destroy();
  }

  #finish(code: number | undefined, reason: string | Buffer | undefined): void {
    this.#peerIsDone = true;
    if (!this.#closing) this.#beginEnd(closeFrame(code, reason));
    this.#endWhenWritten();
  }

  #beginEnd(frame: Buffer | undefined, waitMs = this.#limits.closeTimeoutMs): void {
    this.#closing = true;
    clearTimeout(this.#unreadTimer);
    this.#cutAfter(waitMs);
    if (frame !== undefined) this.#writer.write(frame);
    this.#events.closing();
  }

  #cutAfter(milliseconds: number): void {
    clearTimeout(this.#closeTimer);
    this.#closeTimer = setTimeout(() => this.cut(), milliseconds);
  }

  #endWhenWritten(): void {
    // Not destroyed: bytes that arrive meanwhile would make the system forget the close frame.
    if (this.#peerIsDone && this.#writer.waitingBytes === 0) this.#socket.end();
  }

  /** The peer has ended its half; `ws` has ended ours. */
  #ended(): void {
    if (!this.#closing) this.#beginEnd(undefined);
    if (this.#writer.waitingBytes > 0) this.cut();
    else this.#socket.destroySoon();
  }

  #closed(): void {
    clearTimeout(this.#closeTimer);
    clearTimeout(this.#unreadTimer);
    if (!this.#closing) {
      this.#closing = true;
      this.#events.closing();
    }
    this.#events.closed();
  }

  #drained(): void {
    this.#takenParts += 1;
    this.#unreadAnswerBytes = 0;
    clearTimeout(this.#unreadTimer);
    this.#unreadTimer = undefined;
    if (this.#closing) {
      this.#endWhenWritten();
      return;
    }
    this.#pong();
    this.#events.drained();
  }

  #progressed(): void {
    this.#takenParts += 1;
    if (this.#closing) {
      this.#endWhenWritten();
      return;
    }
    this.#unreadTimer?.refresh();
    this.#events.progressed();
  }

  /** Of many pings in one packet, or while the peer does not read, the last one is answered. */
  #pinged(payload: Buffer): void {
    if (this.#closing) return;
    // A view into what the socket has read: a copy does not keep all of that.
    if (this.#unansweredPing === undefined && this.keepsUp) setImmediate(() => this.#pong());
    this.#unansweredPing = Buffer.from(payload);
    this.#events.receivedControl();
  }

  #pong(): void {
    if (this.#unansweredPing === undefined || !this.keepsUp) return;
    const frame = pongFrame(this.#unansweredPing);
    this.#unansweredPing = undefined;
    if (!this.#closing) this.#writeTimed(frame);
  }

  /** Writes what no subscription waits for, so that the hub does not see whether it is taken. */
  #writeTimed(frames: Buffer): boolean {
    const keepsUp = this.#writer.write(frames);
    if (!keepsUp) this.#unreadTimer ??= setTimeout(() => this.#events.unread(), this.#limits.writeTimeoutMs);
    return keepsUp;
  }
}
