import type { Socket } from "node:net";

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
 * Writes to one client's socket, in order, and tells when its peer keeps up
 * again. A large write goes out in parts, so that a peer that reads it slowly
 * is seen to read; what is written meanwhile follows behind it.
 */
export class SocketWriter {
  readonly #socket: Socket;
  readonly #events: SocketWriterEvents;
  /** What is left of a large write, and what was written after it. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;

  constructor(socket: Socket, events: SocketWriterEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on("drain", () => this.#continue());
  }

  /** Whether the peer takes what it is sent. */
  get keepsUp(): boolean {
    return this.#waitingBytes === 0 && !this.#socket.writableNeedDrain;
  }

  /** Bytes that the socket was not given yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** @returns {@link keepsUp} after it. */
  write(bytes: Buffer): boolean {
    if (this.#waitingBytes === 0 && bytes.length <= MAX_PART_BYTES) return this.#socket.write(bytes);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#socket.writableNeedDrain) return false;
    return this.#writeWaiting();
  }

  #continue(): void {
    if (this.#writeWaiting()) this.#events.drained();
    else this.#events.progressed();
  }

  /** Writes parts until the socket has enough; false when it will drain. */
  #writeWaiting(): boolean {
    let next = 0;
    for (; next < this.#waiting.length; next += 1) {
      let rest = this.#waiting[next];
      while (rest !== undefined) {
        const part = rest.subarray(0, MAX_PART_BYTES);
        rest = part.length < rest.length ? rest.subarray(part.length) : undefined;
        this.#waitingBytes -= part.length;
        if (this.#socket.write(part)) continue;
        this.#waiting = [...(rest === undefined ? [] : [rest]), ...this.#waiting.slice(next + 1)];
        return false;
      }
    }
    this.#waiting = [];
    return true;
  }
}
