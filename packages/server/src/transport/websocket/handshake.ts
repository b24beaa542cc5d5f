import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { RealtimeError } from "@paperdb/protocol";
import { problemAnswer } from "../../http/problem.ts";
import type { WebSocketConnection } from "./connection.ts";

/** A client that has asked for a WebSocket, until it gets one, is refused, or goes away. */
export class Handshake {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
  readonly #timer: NodeJS.Timeout;
  #connection: WebSocketConnection | undefined;
  #isOver = false;

  /** @param timeoutMs - how long the client waits at most. */
  constructor(request: IncomingMessage, socket: Socket, head: Buffer, timeoutMs: number) {
    this.request = request;
    this.socket = socket;
    this.head = head;
    // Its close follows, and is what counts.
    socket.on("error", () => undefined);
    socket.on("close", this.#onGone);
    socket.on("end", this.#onGone);
    this.#timer = setTimeout(() => this.refuse(tooSlow(timeoutMs)), timeoutMs);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** This connection waits for the handshake: it is abandoned when that fails. */
  attach(connection: WebSocketConnection): void {
    this.#connection = connection;
  }

  /** Answers with an error; not when it is over. */
  refuse(error: RealtimeError): void {
    if (this.#isOver) return;
    this.#settle();
    this.#connection?.abandon();
    refuseUpgrade(this.socket, error);
  }

  /** From now on the socket is somebody else's. */
  complete(): void {
    this.#settle();
  }

  readonly #onGone = (): void => {
    if (this.#isOver) return;
    this.#settle();
    this.#connection?.abandon();
    this.socket.destroy();
  };

  #settle(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.socket.off("close", this.#onGone);
    this.socket.off("end", this.#onGone);
  }
}

/** An ordinary HTTP answer in place of the upgrade, and the end of the connection. */
export function refuseUpgrade(socket: Duplex, error: RealtimeError): void {
  const upgrade = error.status === 426 ? { upgrade: "websocket", "sec-websocket-version": "13" } : {};
  socket.once("finish", () => socket.destroy());
  socket.end(problemAnswer(error, upgrade));
}

function tooSlow(timeoutMs: number): RealtimeError {
  return new RealtimeError(
    "source_unavailable",
    `The connection was not ready within ${timeoutMs} ms: try again.`,
    { retryAfterSeconds: 1 },
  );
}
