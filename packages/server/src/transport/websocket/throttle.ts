import { MessageRate } from "./message-rate.ts";

/** How a {@link Throttle} holds its client back. */
export interface ClientFlow {
  /** Stops reading from the client. A few messages may still come. */
  pause(): void;
  resume(): void;
}

/** Why nothing is read from a client: too many messages, one that takes time, answers that are not read. */
export type Hold = "rate" | "handling" | "unread";

/** Reads nothing from a client while there is a reason to wait, so that only that client waits. */
export class Throttle {
  readonly #rate: MessageRate;
  readonly #flow: ClientFlow;
  readonly #holds = new Set<Hold>();
  #isPaused = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  /** Called when there is no reason to wait any more, before more is read. */
  onOpen: () => void = () => undefined;

  constructor(maxPerSecond: number, flow: ClientFlow) {
    this.#rate = new MessageRate(maxPerSecond);
    this.#flow = flow;
  }

  /** Whether a message may be handled now. */
  get isOpen(): boolean {
    return !this.#isClosed && this.#holds.size === 0;
  }

  /** Counts one message; false when there were too many of them this second. */
  take(): boolean {
    if (this.#isClosed) return false;
    const waitMs = this.#rate.take();
    if (waitMs === 0) return true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.release("rate");
    }, waitMs);
    this.hold("rate");
    return false;
  }

  hold(reason: Hold): void {
    if (this.#isClosed) return;
    this.#holds.add(reason);
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#flow.pause();
  }

  release(reason: Hold): void {
    if (!this.#holds.delete(reason) || !this.isOpen) return;
    this.onOpen();
    // What waited may have given a reason again.
    if (!this.isOpen) return;
    this.#isPaused = false;
    this.#flow.resume();
  }

  /** Nothing is held back, and nothing may be handled any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#isClosed = true;
    this.#holds.clear();
  }
}
