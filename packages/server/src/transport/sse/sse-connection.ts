import type { Socket } from "node:net";
import type { DeliveryTarget, EndReason, Greeting, SnapshotTarget } from "../../hub/delivery.ts";
import type { Hub } from "../../hub/hub.ts";
import type { Subscription } from "../../hub/subscription.ts";
import { cutOff } from "../cut-off.ts";
import { SocketWriter, type SocketWriterEvents } from "../socket-writer.ts";
import type { SseClient, SseClientEnd, SseClientStream } from "./sse-client.ts";
import type { SseEncoding } from "./sse-encoding.ts";
import { readyFrame, resetFrame, retryFrame } from "./sse-frames.ts";

/** What connections need of the rest of the server: the same for all. */
export interface SseConnectionDependencies {
  readonly hub: Pick<Hub, "resume" | "progressed" | "unsubscribe">;
  /** How long a peer may take to take the last bytes, in ms. */
  readonly closeTimeoutMs: number;
  /** Its TCP connection is gone, or it never got one of its own. */
  onClosed(client: SseClient): void;
}

/** What one connection is about. */
export interface SseConnectionOptions {
  readonly client: SseClient;
  readonly encoding: SseEncoding;
  /** The response's head, which is written with what comes first. */
  readonly head: string;
}

/** A client told to come back waits this long, so that not all come at once. */
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 5000;

/**
 * One SSE response, from its head to its end, on a socket that belongs to
 * nobody else: frames of the hub go to it as they are, for all the same.
 */
export class SseConnection implements DeliveryTarget, SseClientStream, SocketWriterEvents {
  readonly #dependencies: SseConnectionDependencies;
  readonly #client: SseClient;
  readonly #encoding: SseEncoding;
  readonly #socket: Socket;
  readonly writer: SocketWriter;
  #head: string | undefined;
  #subscription: Subscription | undefined;

  constructor(
    dependencies: SseConnectionDependencies,
    socket: Socket,
    { client, encoding, head }: SseConnectionOptions,
  ) {
    this.#dependencies = dependencies;
    this.#client = client;
    this.#encoding = encoding;
    this.#head = head;
    this.#socket = socket;
    this.writer = new SocketWriter(socket, this);
    client.stream = this;
    socket.on("data", cut);
    socket.on("end", endSoon);
    socket.on("error", awaitClose);
    socket.once("close", () => this.#closed());
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? "";
  }

  get snapshots(): SnapshotTarget {
    return {
      write: (documents) => this.#write(documents),
      reset: (reason) => this.#write(this.#encoding.encode(resetFrame(reason))),
    };
  }

  /** What it receives. Where nothing was written at once, the response begins with its head alone. */
  follow(subscription: Subscription): void {
    this.#subscription = subscription;
    if (this.#head !== undefined && !this.#socket.destroyed) this.#write(Buffer.alloc(0));
  }

  greet({ cursor, resumed, resetReason }: Greeting): boolean {
    const reset = resetReason === undefined ? "" : resetFrame(resetReason);
    return this.#write(this.#encoding.encode(reset + readyFrame(cursor, resumed)));
  }

  drained(): void {
    if (this.#subscription !== undefined) this.#dependencies.hub.resume(this.#subscription);
  }

  progressed(): void {
    if (this.#subscription !== undefined) this.#dependencies.hub.progressed(this.#subscription);
  }

  end(reason: EndReason | SseClientEnd): void {
    if (reason === "draining") this.close(retryFrame(jitteredRetryMs()));
    // The client comes back by itself, and learns why from the answer.
    else if (reason === "expired") this.close();
    else if (typeof reason === "string" || reason.kind === "slow_consumer") this.#cut();
    // The client comes back, and is answered then.
    else if (reason.kind === "failed") this.close();
    else this.close(resetFrame(reason.detail));
  }

  /** Ends the response, after `lastFrame`; a peer that does not read is cut off. */
  close(lastFrame = ""): void {
    if (!this.writer.keepsUp) {
      this.#cut();
      return;
    }
    if (lastFrame !== "") this.#write(this.#encoding.encode(lastFrame));
    this.writer.end();
    // A peer that keeps its half open would keep ours too.
    this.#socket.once("finish", cut);
    setTimeout(() => this.#socket.destroy(), this.#dependencies.closeTimeoutMs).unref();
  }

  #cut(): void {
    if (this.writer.keepsUp) this.#socket.destroy();
    else cutOff(this.#socket);
  }

  /** The first write has the head. */
  #write(frames: Buffer): boolean {
    const head = this.#head;
    if (head === undefined) return this.writer.write(frames);
    this.#head = undefined;
    return this.writer.write(Buffer.concat([Buffer.from(head, "latin1"), this.#encoding.head, frames]));
  }

  #closed(): void {
    this.#dependencies.onClosed(this.#client);
    if (this.#subscription !== undefined) this.#dependencies.hub.unsubscribe(this.#subscription);
  }
}

// The same for all sockets: a connection that does nothing has few functions of its own.

/** A client has nothing to send behind its request. */
function cut(this: Socket): void {
  this.destroy();
}

function endSoon(this: Socket): void {
  this.destroySoon();
}

function awaitClose(): void {
  // An error is followed by "close", which says all that there is to know.
}

function jitteredRetryMs(): number {
  return Math.round(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS));
}
