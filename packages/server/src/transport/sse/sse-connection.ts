import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { DeliveryTarget, EndReason, Greeting, SnapshotTarget } from "../../hub/delivery.ts";
import { SocketWriter, type SocketWriterEvents } from "../socket-writer.ts";
import type { SseEncoding } from "./sse-encoding.ts";
import { readyFrame, resetFrame } from "./sse-frames.ts";

/** The hub's side of a connection, told when the socket drains or closes. */
export interface SseConnectionEvents extends SocketWriterEvents {
  closed(): void;
}

/** Headers that others have set on the response (CORS). */
export type ResponseHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>;

const KEEP_ALIVE_PROBE_MS = 30_000;

/**
 * One SSE response, on the socket of its HTTP request.
 *
 * The response ends with the connection, so it needs neither a length nor
 * chunks: frames of the hub go to the socket as they are, for all the same.
 */
export class SseConnection implements DeliveryTarget {
  readonly snapshots: SnapshotTarget = {
    write: (documents) => this.#writer.write(documents),
    reset: (reason) => this.#writer.write(this.#encoding.encode(resetFrame(reason))),
  };
  readonly #socket: Socket;
  readonly #encoding: SseEncoding;
  readonly #writer: SocketWriter;

  /** Writes the response's head. `request` must be answered by nobody else. */
  constructor(
    request: IncomingMessage,
    headers: ResponseHeaders,
    encoding: SseEncoding,
    events: SseConnectionEvents,
  ) {
    const { socket } = request;
    this.#socket = socket;
    this.#encoding = encoding;
    this.#writer = new SocketWriter(socket, events);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    socket.setTimeout(0);
    // The HTTP parser must not queue further requests behind a response that does not end.
    socket.removeAllListeners("data");
    socket.on("data", () => socket.destroy());
    socket.once("close", () => events.closed());
    socket.write(
      Buffer.concat([Buffer.from(responseHead({ ...headers, ...encoding.headers })), encoding.head]),
    );
  }

  get keepsUp(): boolean {
    return this.#writer.keepsUp;
  }

  write(frames: Buffer): boolean {
    return this.#writer.write(frames);
  }

  greet({ cursor, resumed, resetReason }: Greeting): boolean {
    const reset = resetReason === undefined ? "" : resetFrame(resetReason);
    return this.#writer.write(this.#encoding.encode(reset + readyFrame(cursor, resumed)));
  }

  end(reason: EndReason): void {
    if (reason.kind === "slow_consumer") this.#socket.destroy();
    // The client comes back, and is answered then.
    else if (reason.kind === "failed") this.close();
    else this.close(resetFrame(reason.detail));
  }

  /** Ends the response, after `lastFrame`; a peer that does not read is cut off. */
  close(lastFrame = ""): void {
    if (!this.#writer.keepsUp) {
      this.#socket.destroy();
      return;
    }
    if (lastFrame !== "") this.#socket.write(this.#encoding.encode(lastFrame));
    // Not end(): a peer that keeps its half open would keep ours too.
    this.#socket.destroySoon();
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
