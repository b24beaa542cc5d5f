import { connect, type Socket } from "node:net";
import { SequenceScanner } from "./sequence-scanner.ts";
import { sseDecoder, webSocketDecoder, type Coding, type StreamDecoder } from "./stream-decoder.ts";

/** What a client asks for, and how it reads what it gets. */
export interface DecodingTarget {
  readonly port: number;
  readonly transport: "sse" | "websocket";
  readonly coding: Coding;
  readonly request: Buffer;
  /** Sent once there is an answer. */
  readonly message: Buffer | undefined;
}

const HEAD_END = "\r\n\r\n";
const READY = "ready";
const MAX_HEAD_SHOWN = 300;

/** A connection that decodes and checks all that it gets. */
export class DecodingClient {
  readonly #socket: Socket;
  readonly #scanner = new SequenceScanner((sequence) => this.#take(sequence));
  readonly #done: (failure?: Error) => void;
  #head = "";
  #decoder: StreamDecoder | undefined;
  #isLive = false;
  /** The next one. */
  #expected = 0;
  #last = -1;
  /** Received since {@link expect}. */
  bytes = 0;

  /** @param done - called once it is live, each time that it has what it expects, and when it fails. */
  constructor(target: DecodingTarget, done: (failure?: Error) => void) {
    this.#done = done;
    const socket = connect({ host: "127.0.0.1", port: target.port, noDelay: true });
    this.#socket = socket;
    socket.write(target.request);
    socket.on("data", (bytes) => {
      this.bytes += bytes.length;
      if (this.#decoder === undefined) this.#readHead(bytes, target);
      else this.#decoder.push(bytes);
    });
    socket.once("error", done);
    socket.once("close", () => done(new Error(`closed after ${this.#head.slice(0, MAX_HEAD_SHOWN)}`)));
  }

  /** The events numbered from `first` on come next. */
  expect(first: number, count: number): void {
    this.#expected = first;
    this.#last = first + count - 1;
    this.bytes = 0;
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.resetAndDestroy();
    this.#decoder?.close();
  }

  #readHead(bytes: Buffer, { transport, coding, message }: DecodingTarget): void {
    const before = this.#head.length;
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf(HEAD_END);
    if (end === -1) return;
    const head = this.#head.slice(0, end);
    const wanted = coding === "plain" ? "" : coding === "gzip" ? "encoding: gzip" : "permessage-deflate";
    if (!/^HTTP\/1.1 (?:200|101) /.test(head) || !head.toLowerCase().includes(wanted)) {
      this.#done(new Error(`answered by ${head.slice(0, MAX_HEAD_SHOWN)}`));
      return;
    }
    if (message !== undefined) this.#socket.write(message);
    const read = (decoded: Buffer): void => this.#read(decoded);
    this.#decoder =
      transport === "sse"
        ? sseDecoder(coding, read)
        : webSocketDecoder(coding, read, (pong) => void this.#socket.write(pong));
    const rest = bytes.subarray(end + HEAD_END.length - before);
    if (rest.length > 0) this.#decoder.push(rest);
  }

  #read(decoded: Buffer): void {
    if (!this.#isLive && decoded.includes(READY)) {
      this.#isLive = true;
      this.#done();
    }
    this.#scanner.push(decoded);
  }

  #take(sequence: number): void {
    if (sequence !== this.#expected) {
      this.#done(new Error(`got event ${sequence} in place of ${this.#expected}`));
      return;
    }
    this.#expected += 1;
    if (sequence === this.#last) this.#done();
  }
}
