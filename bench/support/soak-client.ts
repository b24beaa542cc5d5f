import { connect, type Socket } from "node:net";
import type { Exchange, FanOutServer } from "./fan-out-server.ts";
import { nextLocalAddress } from "./local-addresses.ts";
import { SequenceScanner } from "./sequence-scanner.ts";

/** How a client behaves once it is live. */
export type SoakKind = "steady" | "slow";

/** How a client goes: with a FIN, or cut in the middle of whatever it was. */
export type Farewell = "end" | "reset";

/** What a client tells. */
export interface SoakListener {
  live(client: SoakClient): void;
  delivered(client: SoakClient, sequence: number): void;
  /** The connection is gone, and not by {@link SoakClient.leave}. */
  gone(client: SoakClient, reason: string): void;
}

/** What is needed of a server to connect to it. */
export type SoakTarget = Pick<FanOutServer, "port" | "greeting" | "pong">;

const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);

/** A subscriber that comes, gets events without a gap, and goes; a slow one reads nothing until it is woken. */
export class SoakClient {
  readonly kind: SoakKind;
  readonly target: SoakTarget;
  readonly #listener: SoakListener;
  readonly #socket: Socket;
  readonly #scanner = new SequenceScanner((sequence) => this.#take(sequence));
  #greeting: readonly Exchange[] | undefined;
  #answer = "";
  #left = false;
  #asleep = false;
  isLive = false;
  /** The last one that it got; undefined before the first. */
  lastSequence: number | undefined;

  constructor(target: SoakTarget, kind: SoakKind, listener: SoakListener) {
    this.target = target;
    this.kind = kind;
    this.#listener = listener;
    this.#greeting = target.greeting;
    const localAddress = nextLocalAddress();
    this.#socket = connect({
      host: "127.0.0.1",
      port: target.port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
      onread: { buffer: READ_BUFFER, callback: (bytes) => this.#read(READ_BUFFER.subarray(0, bytes)) },
    });
    this.#socket.once("connect", () => this.#say());
    this.#socket.once("error", (error) => this.#gone(error.message));
    this.#socket.once("close", () => this.#gone("closed by the server"));
  }

  /** Live, and reading nothing: it does not notice either when it is closed. */
  get isAsleep(): boolean {
    return this.#asleep;
  }

  /** Reads all that has come meanwhile. */
  wake(): void {
    this.#asleep = false;
    this.#socket.resume();
  }

  leave(farewell: Farewell): void {
    this.#left = true;
    if (farewell === "reset") this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #read(bytes: Buffer): boolean {
    if (this.#greeting === undefined) this.#receive(bytes);
    else this.#greet(bytes);
    return !this.#asleep;
  }

  #receive(bytes: Buffer): void {
    const { pong } = this.target;
    if (pong !== undefined && bytes.includes(pong.ping)) this.#socket.write(pong.send);
    this.#scanner.push(bytes);
  }

  #greet(bytes: Buffer): void {
    this.#answer += bytes.toString("latin1");
    const until = this.#greeting?.[0]?.until ?? "";
    const at = this.#answer.indexOf(until);
    if (at === -1) return;
    const rest = this.#answer.slice(at + until.length);
    this.#answer = "";
    this.#greeting = this.#greeting?.slice(1);
    this.#say();
    if (rest !== "") this.#read(Buffer.from(rest, "latin1"));
  }

  #say(): void {
    const next = this.#greeting?.[0];
    if (next !== undefined) {
      this.#socket.write(next.send);
      return;
    }
    this.#greeting = undefined;
    this.isLive = true;
    this.#asleep = this.kind === "slow";
    if (this.#asleep) this.#socket.pause();
    this.#listener.live(this);
  }

  #take(sequence: number): void {
    const last = this.lastSequence;
    if (last !== undefined && sequence !== last + 1) {
      this.#gone(`event ${sequence} came after ${last}`);
      this.leave("reset");
      return;
    }
    this.lastSequence = sequence;
    this.#listener.delivered(this, sequence);
  }

  #gone(reason: string): void {
    if (this.#left) return;
    this.#left = true;
    this.#listener.gone(this, reason);
  }
}
