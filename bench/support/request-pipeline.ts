import { once } from "node:events";
import { connect, type Socket } from "node:net";

const ANSWER = "HTTP/1.1 202";
const MAX_KEPT = 300;

/** Sends requests on one connection, without waiting for answers. */
export class RequestPipeline {
  readonly #socket: Socket;
  #received = "";
  #missing = 0;
  #answered: () => void = () => undefined;
  #failure: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes) => this.#take(bytes.toString("latin1")));
    socket.once("error", (error) => this.#fail(error));
    socket.once("close", () => this.#fail(new Error(`closed after ${this.#received}`)));
  }

  static async open(port: number): Promise<RequestPipeline> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    return new RequestPipeline(socket);
  }

  /** @param count - how many requests these are. */
  send(requests: Buffer, count: number): void {
    this.#missing += count;
    this.#socket.write(requests);
  }

  /** Resolves once there were as many answers as requests. */
  async untilAnswered(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#answered = resolve;
      if (this.#missing === 0 || this.#failure !== undefined) resolve();
    });
    if (this.#failure !== undefined) throw this.#failure;
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #take(text: string): void {
    const parts = (this.#received + text).split(ANSWER);
    this.#missing -= parts.length - 1;
    // An answer may begin at the end of what has come.
    this.#received = (parts.at(-1) ?? "").slice(-MAX_KEPT);
    if (this.#missing === 0) this.#answered();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#answered();
  }
}
