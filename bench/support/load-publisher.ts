import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { SEQUENCE_PLACEHOLDER, type Exchange, type PublishProtocol } from "./fan-out-server.ts";
import { sequenceText } from "./sequence-text.ts";

/** A connection that was idle for longer may be closed by the server at any moment. */
const MAX_IDLE_MS = 2000;
const ANSWER_WITHIN_MS = 30_000;
const MAX_ANSWER_SHOWN = 300;

/** Publishes numbered events on one connection, without waiting for answers. */
export class LoadPublisher {
  readonly #protocol: PublishProtocol;
  readonly #placeholderAt: number;
  #socket: Socket | undefined;
  #usedAtMs = Number.NEGATIVE_INFINITY;
  #received = "";
  #answers = 0;
  #answered: (() => void) | undefined;
  #failure: Error | undefined;

  constructor(protocol: PublishProtocol) {
    this.#protocol = protocol;
    this.#placeholderAt = protocol.request.indexOf(SEQUENCE_PLACEHOLDER);
    if (this.#placeholderAt === -1) throw new Error("The request to publish has no place for a sequence.");
  }

  /** Connects where there is no connection that can be relied on. */
  async open(): Promise<void> {
    if (this.#socket !== undefined && performance.now() - this.#usedAtMs < MAX_IDLE_MS) return;
    this.close();
    this.#failure = undefined;
    const socket = connect({ host: "127.0.0.1", port: this.#protocol.port, noDelay: true });
    await once(socket, "connect");
    this.#socket = socket;
    socket.on("data", (bytes) => this.#take(bytes));
    socket.once("error", (error) => this.#fail(error.message));
    socket.once("close", () => {
      if (this.#socket === socket) this.#fail("the server closed the connection");
    });
    for (const exchange of this.#protocol.greeting) await this.#say(socket, exchange);
    this.#received = "";
    this.#answers = 0;
    this.#usedAtMs = performance.now();
  }

  /** Writes the events from `first` on in one write. @returns the moment before, by `performance.now()`. */
  publish(first: number, count: number): number {
    const { request } = this.#protocol;
    const bytes = Buffer.allocUnsafe(request.length * count);
    for (let index = 0; index < count; index += 1) {
      request.copy(bytes, index * request.length);
      bytes.write(sequenceText(first + index), index * request.length + this.#placeholderAt, "latin1");
    }
    const atMs = performance.now();
    this.#socket?.write(bytes);
    this.#usedAtMs = atMs;
    return atMs;
  }

  /** Resolves once there was an answer to so many events since {@link open}; then counts again. */
  async untilAnswered(count: number): Promise<void> {
    if (this.#protocol.answer === "") return;
    await this.#until(() => this.#answers >= count, `${count} answers to publishes`);
    this.#answers -= count;
    this.#usedAtMs = performance.now();
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  async #say(socket: Socket, { send, until }: Exchange): Promise<void> {
    this.#received = "";
    socket.write(send);
    if (until !== "") await this.#until(() => this.#received.includes(until), `"${until}"`);
  }

  #take(bytes: Buffer): void {
    this.#received += bytes.toString("latin1");
    const { answer } = this.#protocol;
    if (this.#usedAtMs !== Number.NEGATIVE_INFINITY && answer !== "") this.#countAnswers(answer);
    this.#answered?.();
  }

  #countAnswers(answer: string): void {
    const parts = this.#received.split(answer);
    this.#answers += parts.length - 1;
    // An answer may begin at the end of what has come.
    this.#received = (parts.at(-1) ?? "").slice(-MAX_ANSWER_SHOWN - answer.length);
  }

  async #until(isDone: () => boolean, what: string): Promise<void> {
    if (isDone()) return;
    let deadline: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#answered = () => {
        if (isDone() || this.#failure !== undefined) resolve();
      };
      deadline = setTimeout(() => {
        this.#fail(
          `there were not ${what} in time, but ${JSON.stringify(this.#received.slice(-MAX_ANSWER_SHOWN))}`,
        );
      }, ANSWER_WITHIN_MS);
      this.#answered();
    });
    clearTimeout(deadline);
    this.#answered = undefined;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fail(reason: string): void {
    this.#failure ??= new Error(`Publishing failed: ${reason}.`);
    this.#answered?.();
  }
}
