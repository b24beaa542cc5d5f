import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { RealtimeError } from "@paperdb/protocol";
import { problemAnswer } from "../../http/problem.ts";

/** How a handshake is waited for. */
export interface HandshakeOptions {
  /** How long the client waits at most. */
  readonly timeoutMs: number;
  readonly onOver: (handshake: Handshake) => void;
}

/** What waits for a handshake. */
interface Applicant {
  /** There is no WebSocket for it. */
  abandon(): void;
}

const ignore = (): void => undefined;

/** A client that has asked for a WebSocket, until it gets one, is refused, or goes away. */
export class Handshake {
  readonly socket: Socket;
  readonly head: Buffer;
  readonly #timer: NodeJS.Timeout;
  #applicant: Applicant | undefined;
  #isOver = false;

  /** Called once: it is complete, or its socket is closed. */
  readonly #onOver: (handshake: Handshake) => void;

  /** @param head - what was read behind the request. */
  constructor(socket: Socket, head: Buffer, { timeoutMs, onOver }: HandshakeOptions) {
    this.socket = socket;
    this.head = head;
    this.#onOver = onOver;
    // Its close follows, and is what counts.
    socket.on("error", ignore);
    socket.on("close", this.#onClose);
    socket.on("end", this.#onGone);
    this.#timer = setTimeout(() => this.refuse(tooSlow(timeoutMs)), timeoutMs);
  }

  get remoteAddress(): string | undefined {
    return this.socket.remoteAddress;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** This one waits for the handshake: it is abandoned when that fails. */
  attach(applicant: Applicant): void {
    this.#applicant = applicant;
  }

  /** Answers with an error; not when it is over. */
  refuse(error: RealtimeError): void {
    if (this.#isOver) return;
    this.#settle();
    this.#applicant?.abandon();
    refuseUpgrade(this.socket, error);
  }

  /** From now on the socket is somebody else's. */
  complete(): void {
    this.#settle();
    this.socket.off("close", this.#onClose);
    this.#onOver(this);
  }

  readonly #onClose = (): void => {
    this.#onGone();
    this.#onOver(this);
  };

  readonly #onGone = (): void => {
    if (this.#isOver) return;
    this.#settle();
    this.#applicant?.abandon();
    this.socket.destroy();
  };

  #settle(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.socket.off("end", this.#onGone);
  }
}

/** An ordinary HTTP answer in place of the upgrade, and the end of the connection. */
function refuseUpgrade(socket: Duplex, error: RealtimeError): void {
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
