import type { MessageTurns, WaitingClient } from "./message-turns.ts";

const RATE_WINDOW_MS = 1000;

/** What is handled of one client, and of all. */
export interface ThrottleLimits {
  readonly maxMessagesPerSecond: number;
  /** The same for all clients. */
  readonly turns: MessageTurns;
}

/** How a {@link Throttle} holds its client back. */
export interface ClientFlow {
  /** Stops reading from the client. A few messages may still come. */
  pause(): void;
  resume(): void;
}

/** Who waits for a {@link Throttle}. */
export interface ThrottleListener {
  /** There is no reason to wait any more, and more is about to be read. */
  throttleOpened(): void;
}

/** Why nothing is read from a client: too many messages, those of others, one that takes time, answers that are not read. */
export type Hold = "rate" | "turn" | "handling" | "unread";

/** Bits: very many clients have a set of them. */
const HOLD_BITS: Readonly<Record<Hold, number>> = { rate: 1, handling: 2, unread: 4, turn: 8 };

/** Reads nothing from a client while there is a reason to wait, so that only that client waits. */
export class Throttle implements WaitingClient {
  readonly #limits: ThrottleLimits;
  readonly #flow: ClientFlow;
  #holds = 0;
  /** On the monotonic clock, in whole milliseconds; a window before all others at first. */
  #windowStartedAtMs = -RATE_WINDOW_MS;
  #taken = 0;
  #isPaused = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #listener: ThrottleListener | undefined;

  constructor(limits: ThrottleLimits, flow: ClientFlow) {
    this.#limits = limits;
    this.#flow = flow;
  }

  /** There is one listener. */
  set listener(listener: ThrottleListener) {
    this.#listener = listener;
  }

  /** Whether a message may be handled now. */
  get isOpen(): boolean {
    return !this.#isClosed && this.#holds === 0;
  }

  /** Counts one message; false when there were too many of them this second, or of all clients in this turn. */
  take(): boolean {
    if (this.#isClosed) return false;
    const waitMs = this.#waitForRateMs();
    if (waitMs > 0) {
      this.#holdForRate(waitMs);
      return false;
    }
    if (!this.#limits.turns.take(this)) {
      this.hold("turn");
      return false;
    }
    this.#taken += 1;
    return true;
  }

  turnCame(): void {
    this.release("turn");
  }

  hold(reason: Hold): void {
    if (this.#isClosed) return;
    this.#holds |= HOLD_BITS[reason];
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#flow.pause();
  }

  release(reason: Hold): void {
    if ((this.#holds & HOLD_BITS[reason]) === 0) return;
    this.#holds &= ~HOLD_BITS[reason];
    if (!this.isOpen) return;
    this.#listener?.throttleOpened();
    // What waited may have given a reason again.
    if (!this.isOpen) return;
    this.#isPaused = false;
    this.#flow.resume();
  }

  /** Nothing is held back, and nothing may be handled any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#limits.turns.forget(this);
    this.#isClosed = true;
    this.#holds = 0;
  }

  #holdForRate(waitMs: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.release("rate");
    }, waitMs);
    this.hold("rate");
  }

  /** How long to wait until the rate allows another one; zero when it does. */
  #waitForRateMs(): number {
    const nowMs = Math.floor(performance.now());
    if (nowMs - this.#windowStartedAtMs >= RATE_WINDOW_MS) {
      this.#windowStartedAtMs = nowMs;
      this.#taken = 0;
    }
    return this.#taken < this.#limits.maxMessagesPerSecond
      ? 0
      : this.#windowStartedAtMs + RATE_WINDOW_MS - nowMs;
  }
}
