import { connect } from "node:net";
import type { Socket } from "node:net";
import { until } from "./until.ts";

/** A TCP connection on which a test sends what no HTTP client would. */
export class RawSocket {
  /** What the server sent, as far as it was read. */
  received = "";
  /** Whether the server has ended its half. */
  ended = false;
  closed = false;
  readonly socket: Socket;

  private constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    this.socket.setEncoding("latin1");
    // Its close follows, and is what counts.
    this.socket.on("error", () => undefined);
    this.socket.on("end", () => {
      this.ended = true;
    });
    this.socket.on("close", () => {
      this.closed = true;
    });
  }

  /** @param bytes - sent as they are (latin1). */
  static async open(url: string, bytes = ""): Promise<RawSocket> {
    const raw = new RawSocket(url);
    raw.socket.on("data", (text: string) => {
      raw.received += text;
    });
    await until(() => raw.closed || !raw.socket.connecting, { describe: "the connection" });
    raw.send(bytes);
    return raw;
  }

  send(bytes: string): void {
    this.socket.write(bytes, "latin1");
  }

  async waitFor(text: string): Promise<void> {
    await until(() => this.received.includes(text), {
      describe: () => `"${text}", got ${JSON.stringify(this.received.slice(0, 300))}`,
    });
  }

  async waitForEnd(): Promise<void> {
    await until(() => this.ended || this.closed, {
      describe: () => `the end, got ${JSON.stringify(this.received.slice(0, 300))}`,
    });
    this.socket.destroy();
  }

  /** Ends the connection: with a goodbye, or (`abrupt`) without. */
  close(abrupt = false): void {
    if (abrupt) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }
}
