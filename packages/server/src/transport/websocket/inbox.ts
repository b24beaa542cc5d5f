import type { Throttle, ThrottleListener } from "./throttle.ts";

/** Who handles the messages of an {@link Inbox}. */
export interface MessageHandler<Message> {
  /** Must not reject; the next message waits for its promise. */
  handle(message: Message): Promise<void> | undefined;
}

/** The messages of one client, handled one after the other, as fast as its throttle allows. */
export class Inbox<Message> implements ThrottleListener {
  readonly #throttle: Throttle;
  readonly #handler: MessageHandler<Message>;
  /** Undefined while none waits, as for most clients always. */
  #messages: Message[] | undefined;

  constructor(throttle: Throttle, handler: MessageHandler<Message>) {
    this.#throttle = throttle;
    this.#handler = handler;
    throttle.listener = this;
  }

  receive(message: Message): void {
    if (this.#messages === undefined && this.#throttle.isOpen && this.#throttle.take()) {
      this.#handle(message);
      return;
    }
    this.#messages ??= [];
    this.#messages.push(message);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#messages = undefined;
  }

  throttleOpened(): void {
    while (this.#throttle.isOpen) {
      const message = this.#messages?.[0];
      if (message === undefined || !this.#throttle.take()) return;
      if (this.#messages?.length === 1) this.#messages = undefined;
      else this.#messages?.shift();
      this.#handle(message);
    }
  }

  #handle(message: Message): void {
    const done = this.#handler.handle(message);
    if (done === undefined) return;
    this.#throttle.hold("handling");
    void done.then(() => this.#throttle.release("handling"));
  }
}
