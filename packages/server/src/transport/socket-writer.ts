import type { Socket } from "node:net";
import type { FrameWriter } from "../hub/delivery.ts";
import { writableHandleOf, writeToHandle, type SocketHandle, type WriteOwner } from "./socket-handle.ts";

/** What a {@link SocketWriter} tells its connection. */
export interface SocketWriterEvents {
  /** All that was written is on its way: the peer keeps up. */
  drained(): void;
  /** A part of a large write is on its way: the peer reads, slowly. */
  progressed(): void;
}

/** How much goes out before the peer is seen to have taken it. */
const MAX_PART_BYTES = 65_536;

/**
 * The only writer of one client's socket: writes in order, and tells when its peer keeps up
 * again. A large write goes out in parts, so that a peer that reads it slowly
 * is seen to read; what is written meanwhile follows behind it.
 */
export class SocketWriter implements FrameWriter, WriteOwner {
  readonly #socket: Socket;
  readonly #events: SocketWriterEvents;
  /** Undefined where the socket is written to as a stream. */
  readonly #handle: SocketHandle | undefined;
  /** What the socket was not given yet: something only while the peer does not keep up. */
  #waiting: Buffer[] | undefined;
  #keepsUp = true;
  #isEnded = false;

  constructor(socket: Socket, events: SocketWriterEvents, handle = writableHandleOf(socket)) {
    this.#socket = socket;
    this.#events = events;
    this.#handle = handle;
    if (handle === undefined) socket.on("drain", () => this.written());
  }

  get keepsUp(): boolean {
    return this.#keepsUp;
  }

  /** Whether the socket was not given all yet. */
  get hasWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  write(bytes: Buffer): boolean {
    if (this.#keepsUp && bytes.length <= MAX_PART_BYTES) {
      this.#keepsUp = this.#send(bytes);
      return this.#keepsUp;
    }
    if (this.#isEnded) return false;
    this.#waiting ??= [];
    this.#waiting.push(bytes);
    if (this.#keepsUp) this.#keepsUp = this.#sendWaiting();
    return this.#keepsUp;
  }

  /** Ends our half of the connection behind what was written; nothing more is. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#keepsUp = false;
    if (this.#waiting === undefined) this.#socket.end();
  }

  /** What the socket was given is on its way. */
  written(): void {
    const isAll = this.#sendWaiting();
    if (this.#isEnded) {
      if (isAll) this.#socket.end();
      return;
    }
    this.#keepsUp = isAll;
    if (isAll) this.#events.drained();
    else this.#events.progressed();
  }

  /** The connection is lost. */
  writeFailed(): void {
    this.#socket.destroy();
  }

  /** @returns whether it is on its way. */
  #send(part: Buffer): boolean {
    if (this.#handle === undefined) return this.#socket.write(part);
    return writeToHandle(this.#handle, part, this);
  }

  /** Sends parts until the socket has enough; false when there will be more room. */
  #sendWaiting(): boolean {
    const waiting = this.#waiting ?? [];
    for (let next = 0; next < waiting.length; next += 1) {
      let rest = waiting[next];
      while (rest !== undefined) {
        const part = rest.subarray(0, MAX_PART_BYTES);
        rest = part.length < rest.length ? rest.subarray(part.length) : undefined;
        if (this.#send(part)) continue;
        const left = [...(rest === undefined ? [] : [rest]), ...waiting.slice(next + 1)];
        this.#waiting = left.length === 0 ? undefined : left;
        return false;
      }
    }
    this.#waiting = undefined;
    return true;
  }
}
