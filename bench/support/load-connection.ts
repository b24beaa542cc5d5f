import { connect, type Socket } from "node:net";
import { ChunkedAnswer } from "./chunked-answer.ts";
import type { Exchange, FanOutServer } from "./fan-out-server.ts";
import { SequenceScanner } from "./sequence-scanner.ts";

/** What a connection tells its group. */
export interface LoadConnectionListener {
  /** The greeting is over. */
  live(): void;
  /** Once for each read, before the events in it. */
  read(bytes: number): void;
  sequence(connection: LoadConnection, sequence: number): void;
  /** The connection is gone, before it was live or afterwards. */
  gone(connection: LoadConnection, reason: string): void;
}

/** Where a connection goes, and what is said there. */
export interface LoadTarget {
  readonly port: number;
  readonly greeting: readonly Exchange[];
  readonly pong: FanOutServer["pong"];
  readonly chunked: FanOutServer["chunked"];
  /** Undefined: whatever the system takes. */
  readonly localAddress: string | undefined;
}

/** Read by one socket at a time, so all share it. */
const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);
const MAX_ANSWER_SHOWN = 300;

/** One subscriber: says the greeting, then looks for sequences in what comes. */
export class LoadConnection {
  readonly #socket: Socket;
  readonly #listener: LoadConnectionListener;
  readonly #pong: FanOutServer["pong"];
  readonly #scanner: SequenceScanner;
  readonly #chunks: ChunkedAnswer | undefined;
  /** What is still to be said, until the connection is live. */
  #greeting: readonly Exchange[] | undefined;
  #answer = "";
  /** The sequence that has to come next. */
  expected = 0;
  reading = true;
  open = true;

  constructor(target: LoadTarget, listener: LoadConnectionListener) {
    const { port, greeting, pong, chunked, localAddress } = target;
    this.#listener = listener;
    this.#greeting = greeting;
    this.#pong = pong;
    this.#scanner = new SequenceScanner((sequence) => listener.sequence(this, sequence));
    this.#chunks = chunked === true ? new ChunkedAnswer((bytes) => this.#pass(bytes)) : undefined;
    const socket = connect({
      host: "127.0.0.1",
      port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
      onread: { buffer: READ_BUFFER, callback: (bytes) => this.#take(READ_BUFFER.subarray(0, bytes)) },
    });
    this.#socket = socket;
    socket.once("connect", () => this.#say());
    socket.once("error", (error) => this.#end(error.message));
    socket.once("close", () => this.#end("closed by the server"));
  }

  pause(): void {
    this.reading = false;
    this.#socket.pause();
  }

  resume(): void {
    this.reading = true;
    this.#socket.resume();
  }

  /** Cuts it, so that its port can be used again at once. */
  close(): void {
    this.open = false;
    this.#socket.resetAndDestroy();
  }

  #take(bytes: Buffer): boolean {
    if (this.#greeting === undefined) this.#listener.read(bytes.length);
    if (this.#chunks === undefined) this.#pass(bytes);
    else this.#chunks.push(bytes);
    return this.reading;
  }

  #pass(bytes: Buffer): void {
    if (this.#greeting === undefined) this.#receive(bytes);
    else this.#greet(bytes);
  }

  #receive(bytes: Buffer): void {
    if (this.#pong !== undefined && bytes.includes(this.#pong.ping)) this.#socket.write(this.#pong.send);
    this.#scanner.push(bytes);
  }

  #greet(bytes: Buffer): void {
    this.#answer += bytes.toString("latin1");
    for (;;) {
      const until = this.#greeting?.[0]?.until ?? "";
      const at = this.#answer.indexOf(until);
      if (at === -1) return;
      const rest = this.#answer.slice(at + until.length);
      this.#answer = rest;
      this.#greeting = this.#greeting?.slice(1);
      this.#say();
      if (this.#greeting !== undefined) continue;
      this.#answer = "";
      if (rest === "") return;
      this.#listener.read(rest.length);
      this.#receive(Buffer.from(rest, "latin1"));
      return;
    }
  }

  /** Says what comes next, until something has to be waited for. */
  #say(): void {
    for (;;) {
      const next = this.#greeting?.[0];
      if (next === undefined) {
        this.#greeting = undefined;
        this.#listener.live();
        return;
      }
      this.#socket.write(next.send);
      if (next.until !== "") return;
      this.#greeting = this.#greeting?.slice(1);
    }
  }

  #end(reason: string): void {
    if (!this.open) return;
    this.open = false;
    const said = this.#answer.slice(0, MAX_ANSWER_SHOWN);
    this.#listener.gone(this, said === "" ? reason : `${reason} after ${JSON.stringify(said)}`);
  }
}
