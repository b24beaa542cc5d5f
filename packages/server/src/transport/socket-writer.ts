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
const WRITER: unique symbol = Symbol("writer");

interface WriterSocket extends Socket {
  [WRITER]?: SocketWriter;
}

/** The same for all sockets: one that has nothing to do has no function of its own. */
function onDrain(this: WriterSocket): void {
  this[WRITER]?.socketDrained();
}

/**
 * Writes to one client's socket, in order, and tells when its peer keeps up
 * again. A large write goes out in parts, so that a peer that reads it slowly
 * is seen to read; what is written meanwhile follows behind it.
 */
export class SocketWriter {
  readonly #socket: Socket;
  readonly #events: SocketWriterEvents;
  /** What is left of a large write, and what was written after it. */
  #waiting: Buffer[] | undefined;
  #waitingBytes = 0;
  /** Asked before each write: the socket itself would tell, by many steps. */
  #keepsUp = true;

  constructor(socket: Socket, events: SocketWriterEvents) {
    this.#socket = socket;
    this.#events = events;
    const writerSocket: WriterSocket = socket;
    writerSocket[WRITER] = this;
    socket.on("drain", onDrain);
  }

  /** Whether the peer takes what it is sent. */
  get keepsUp(): boolean {
    return this.#keepsUp;
  }

  /** Bytes that the socket was not given yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** @returns {@link keepsUp} after it. */
  write(bytes: Buffer): boolean {
    if (this.#waiting === undefined && bytes.length <= MAX_PART_BYTES) {
      if (!this.#socket.write(bytes)) this.#keepsUp = false;
      return this.#keepsUp;
    }
    this.#waiting ??= [];
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#keepsUp) this.#keepsUp = this.#writeWaiting();
    return this.#keepsUp;
  }

  /** All that the socket was given is on its way. */
  socketDrained(): void {
    this.#keepsUp = this.#writeWaiting();
    if (this.#keepsUp) this.#events.drained();
    else this.#events.progressed();
  }

  /** Writes parts until the socket has enough; false when it will drain. */
  #writeWaiting(): boolean {
    const waiting = this.#waiting ?? [];
    for (let next = 0; next < waiting.length; next += 1) {
      let rest = waiting[next];
      while (rest !== undefined) {
        const part = rest.subarray(0, MAX_PART_BYTES);
        rest = part.length < rest.length ? rest.subarray(part.length) : undefined;
        this.#waitingBytes -= part.length;
        if (this.#socket.write(part)) continue;
        const left = [...(rest === undefined ? [] : [rest]), ...waiting.slice(next + 1)];
        this.#waiting = left.length === 0 ? undefined : left;
        return false;
      }
    }
    this.#waiting = undefined;
    return true;
  }
}
