import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { DeliveryTarget, EndReason } from "../../hub/delivery.ts";

/** The hub's side of a connection, told when the socket drains or closes. */
export interface SseConnectionEvents {
  /** All that was written is on its way: the peer keeps up. */
  drained(): void;
  /** A part of a large write is on its way: the peer reads, slowly. */
  progressed(): void;
  closed(): void;
}

/** Headers that others have set on the response (CORS). */
export type ResponseHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** How much goes out before the peer is seen to have taken it. */
const MAX_PART_BYTES = 65_536;
const KEEP_ALIVE_PROBE_MS = 30_000;

/**
 * One SSE response, on the socket of its HTTP request.
 *
 * The response ends with the connection, so it needs neither a length nor
 * chunks: frames of the hub go to the socket as they are, for all the same.
 */
export class SseConnection implements DeliveryTarget {
  readonly #socket: Socket;
  readonly #events: SseConnectionEvents;
  /** What is left of a large write. */
  #rest: Buffer | undefined;

  /** Writes the response's head. `request` must be answered by nobody else. */
  constructor(request: IncomingMessage, headers: ResponseHeaders, events: SseConnectionEvents) {
    this.#socket = request.socket;
    this.#events = events;
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    socket.setTimeout(0);
    // The HTTP parser must not queue further requests behind a response that does not end.
    socket.removeAllListeners("data");
    socket.on("data", () => socket.destroy());
    socket.on("drain", () => this.#continue());
    socket.once("close", () => events.closed());
    socket.write(responseHead(headers));
  }

  /** A large write goes out in parts, so that a peer that reads it slowly is seen to read. */
  write(frames: Buffer): boolean {
    if (this.#rest !== undefined) return false;
    if (frames.length <= MAX_PART_BYTES) return this.#socket.write(frames);
    this.#rest = frames;
    return this.#writeRest();
  }

  end(reason: EndReason): void {
    if (reason.kind === "slow_consumer") this.#socket.destroy();
    else this.close();
  }

  /** Ends the response, after `lastFrame`; a peer that does not read is cut off. */
  close(lastFrame?: Buffer): void {
    const socket = this.#socket;
    if (socket.writableNeedDrain || this.#rest !== undefined) {
      socket.destroy();
      return;
    }
    if (lastFrame !== undefined) socket.write(lastFrame);
    // Not end(): a peer that keeps its half open would keep ours too.
    socket.destroySoon();
  }

  #continue(): void {
    if (this.#writeRest()) this.#events.drained();
    else this.#events.progressed();
  }

  /** Writes parts until the socket has enough; false when it will drain. */
  #writeRest(): boolean {
    while (this.#rest !== undefined) {
      const part = this.#rest.subarray(0, MAX_PART_BYTES);
      this.#rest = part.length < this.#rest.length ? this.#rest.subarray(part.length) : undefined;
      if (!this.#socket.write(part)) return false;
    }
    return true;
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#socket.destroy();
  }
}

function responseHead(headers: ResponseHeaders): string {
  const fields: ResponseHeaders = {
    ...headers,
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    connection: "close",
    date: new Date().toUTCString(),
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${String(value)}`],
  );
  return `HTTP/1.1 200 OK\r\n${lines.join("\r\n")}\r\n\r\n`;
}
