import { MessageRate } from "./message-rate.ts";

/** How an {@link Inbox} holds its client back. */
export interface InboxFlow {
  /** Stops reading from the client. A few messages may still come. */
  pause(): void;
  resume(): void;
}

/**
 * The messages of one client, handled one after the other, no more of them per
 * second than allowed. While it is behind, nothing is read from the client, so
 * that only that client waits.
 */
export class Inbox<Message> {
  readonly #rate: MessageRate;
  readonly #flow: InboxFlow;
  readonly #handle: (message: Message) => Promise<void> | undefined;
  #messages: Message[] = [];
  /** A message is being handled, or has to wait. */
  #busy = false;
  #paused = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param handle - must not reject; the next message waits for its promise. */
  constructor(
    maxPerSecond: number,
    flow: InboxFlow,
    handle: (message: Message) => Promise<void> | undefined,
  ) {
    this.#rate = new MessageRate(maxPerSecond);
    this.#flow = flow;
    this.#handle = handle;
  }

  receive(message: Message): void {
    if (this.#closed) return;
    this.#messages.push(message);
    this.#next();
  }

  /** Something came that needs no handling, but counts. */
  count(): void {
    const waitMs = this.#rate.take();
    if (waitMs > 0 && !this.#busy) this.#wait(waitMs);
    this.#adjustFlow();
  }

  /** Forgets what waits; nothing is handled any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#closed = true;
    this.#messages = [];
  }

  #next(): void {
    while (!this.#busy) {
      const [message] = this.#messages;
      if (message === undefined) break;
      const waitMs = this.#rate.take();
      if (waitMs > 0) {
        this.#wait(waitMs);
        break;
      }
      this.#messages.shift();
      const done = this.#handle(message);
      if (done !== undefined) this.#waitFor(done);
    }
    this.#adjustFlow();
  }

  #wait(milliseconds: number): void {
    this.#busy = true;
    this.#timer = setTimeout(() => this.#goOn(), milliseconds);
  }

  #waitFor(done: Promise<void>): void {
    this.#busy = true;
    void done.then(() => this.#goOn());
  }

  #goOn(): void {
    this.#busy = false;
    this.#next();
  }

  #adjustFlow(): void {
    if (this.#closed || this.#busy === this.#paused) return;
    this.#paused = this.#busy;
    if (this.#paused) this.#flow.pause();
    else this.#flow.resume();
  }
}
