import type { Throttle } from "./throttle.ts";

/** The messages of one client, handled one after the other, as fast as its throttle allows. */
export class Inbox<Message> {
  readonly #throttle: Throttle;
  readonly #handle: (message: Message) => Promise<void> | undefined;
  #messages: Message[] = [];

  /** @param handle - must not reject; the next message waits for its promise. */
  constructor(throttle: Throttle, handle: (message: Message) => Promise<void> | undefined) {
    this.#throttle = throttle;
    this.#handle = handle;
    throttle.onOpen = () => this.#next();
  }

  receive(message: Message): void {
    this.#messages.push(message);
    this.#next();
  }

  /** Forgets what waits. */
  clear(): void {
    this.#messages = [];
  }

  #next(): void {
    while (this.#throttle.isOpen) {
      const [message] = this.#messages;
      if (message === undefined || !this.#throttle.take()) return;
      this.#messages.shift();
      const done = this.#handle(message);
      if (done !== undefined) this.#waitFor(done);
    }
  }

  #waitFor(done: Promise<void>): void {
    this.#throttle.hold("handling");
    void done.then(() => this.#throttle.release("handling"));
  }
}
