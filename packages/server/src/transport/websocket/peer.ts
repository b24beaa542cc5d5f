import type { Socket } from "node:net";
import { CLOSE_CODES, type CloseReason } from "@paperdb/protocol";
import { cutOff } from "../cut-off.ts";
import { SocketWriter, type SocketWriterEvents } from "../socket-writer.ts";
import { FrameError } from "./frame-head.ts";
import { FrameReader, type FrameEvents, type FrameLimits } from "./frame-reader.ts";
import { closeFrame, PING_FRAME, pongFrame } from "./websocket-frame.ts";

/** What a {@link Peer} tells its connection. */
export interface PeerEvents extends SocketWriterEvents {
  /** A message, whole, valid during the call. */
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
export interface PeerLimits extends FrameLimits {
  /** How long a peer may take to end the connection once we have, in ms. */
  readonly closeTimeoutMs: number;
  /** Answers that may wait for a peer that does not read. */
  readonly maxUnreadAnswerBytes: number;
  /** How long a peer may take nothing while answers wait for it, in ms. */
  readonly writeTimeoutMs: number;
}

const KEEP_ALIVE_PROBE_MS = 30_000;
const PEER: unique symbol = Symbol("peer");

interface PeerSocket extends Socket {
  [PEER]?: Peer;
}

// The same for all sockets: a connection that does nothing has no functions of its own.
function onData(this: PeerSocket, bytes: Buffer): void {
  this[PEER]?.receivedBytes(bytes);
}
function onEnd(this: PeerSocket): void {
  this[PEER]?.socketEnded();
}
function onClose(this: PeerSocket): void {
  this[PEER]?.socketClosed();
}

/**
 * The other end of one WebSocket: reads and writes whole frames, one after the
 * other, and does the closing handshake (RFC 6455, section 7).
 */
export class Peer implements FrameEvents, SocketWriterEvents {
  readonly #socket: Socket;
  readonly writer: SocketWriter;
  readonly #limits: PeerLimits;
  readonly #events: PeerEvents;
  /** Of a peer that has sent a part of a message; one that is silent needs none. */
  #reader: FrameReader | undefined;
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

  /** @param head - what was read behind the handshake's request. */
  constructor(socket: Socket, head: Buffer, limits: PeerLimits, events: PeerEvents) {
    this.#socket = socket;
    this.#limits = limits;
    this.#events = events;
    this.writer = new SocketWriter(socket, this);
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    if (head.length > 0) socket.unshift(head);
    const peerSocket: PeerSocket = socket;
    peerSocket[PEER] = this;
    socket.on("data", onData);
    socket.on("end", onEnd);
    socket.on("close", onClose);
  }

  get keepsUp(): boolean {
    return this.writer.keepsUp;
  }

  /** Grows whenever the peer has sent or taken something. */
  get signsOfLife(): number {
    return this.#socket.bytesRead + this.#takenParts;
  }

  /** Whether nothing is read. */
  get isPaused(): boolean {
    return this.#socket.isPaused();
  }

  /** Where it connects from; undefined once it is gone. */
  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
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
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
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
    this.#socket.resume();
  }

  /** Ends the TCP connection at once. */
  cut(): void {
    cutOff(this.#socket);
  }

  /** Not once the end has begun: the client may go on sending, as fast as it likes. */
  get wantsMessages(): boolean {
    return !this.#closing;
  }

  message(data: Buffer, isBinary: boolean): void {
    this.#events.received(data, isBinary);
  }

  /** Of many pings in one packet, or while the peer does not read, the last one is answered. */
  pinged(payload: Buffer): void {
    if (this.#closing) return;
    if (this.#unansweredPing === undefined && this.keepsUp) setImmediate(() => this.#pong());
    // A view into what the socket has read: a copy does not keep all of that.
    this.#unansweredPing = Buffer.from(payload);
    this.#events.receivedControl();
  }

  ponged(): void {
    if (!this.#closing) this.#events.receivedControl();
  }

  saidGoodbye(code: number | undefined, reason: Buffer): void {
    this.#finish(closeFrame(code, reason));
  }

  drained(): void {
    this.#takenParts += 1;
    this.#unreadAnswerBytes = 0;
    clearTimeout(this.#unreadTimer);
    this.#unreadTimer = undefined;
    if (this.#closing) return;
    this.#pong();
    this.#events.drained();
  }

  progressed(): void {
    this.#takenParts += 1;
    if (this.#closing) return;
    this.#unreadTimer?.refresh();
    this.#events.progressed();
  }

  /** What comes after its goodbye is read, so that it does not hold up the end, and means nothing. */
  receivedBytes(bytes: Buffer): void {
    if (this.#peerIsDone) return;
    const reader = this.#reader ?? new FrameReader(this.#limits, this);
    try {
      reader.read(bytes);
      this.#reader = reader.isBetweenMessages ? undefined : reader;
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#reader = undefined;
      this.#finish(closeFrame(error.closeCode));
    }
  }

  /** The peer is done: it has said goodbye, or has broken the protocol. */
  #finish(answer: Buffer): void {
    this.#peerIsDone = true;
    if (!this.#closing) this.#beginEnd(answer);
    this.#socket.resume();
    // Not destroyed: bytes that arrive meanwhile would make the system forget the close frame.
    this.writer.end();
  }

  #beginEnd(frame: Buffer | undefined, waitMs = this.#limits.closeTimeoutMs): void {
    this.#closing = true;
    clearTimeout(this.#unreadTimer);
    this.#cutAfter(waitMs);
    if (frame !== undefined) this.writer.write(frame);
    this.#events.closing();
  }

  #cutAfter(milliseconds: number): void {
    clearTimeout(this.#closeTimer);
    this.#closeTimer = setTimeout(() => this.cut(), milliseconds);
  }

  /** The peer has ended its half. */
  socketEnded(): void {
    if (!this.#closing) this.#beginEnd(undefined);
    if (this.writer.hasWaiting) this.cut();
    else this.#socket.destroySoon();
  }

  socketClosed(): void {
    clearTimeout(this.#closeTimer);
    clearTimeout(this.#unreadTimer);
    if (!this.#closing) {
      this.#closing = true;
      this.#events.closing();
    }
    this.#events.closed();
  }

  #pong(): void {
    if (this.#unansweredPing === undefined || !this.keepsUp) return;
    const frame = pongFrame(this.#unansweredPing);
    this.#unansweredPing = undefined;
    if (!this.#closing) this.#writeTimed(frame);
  }

  /** Writes what no subscription waits for, so that the hub does not see whether it is taken. */
  #writeTimed(frames: Buffer): boolean {
    const keepsUp = this.writer.write(frames);
    if (!keepsUp) this.#unreadTimer ??= setTimeout(() => this.#events.unread(), this.#limits.writeTimeoutMs);
    return keepsUp;
  }
}
