/** A notification as it came. */
export interface Notification {
  readonly channel: string;
  readonly payload: string;
}

/** What handles notifications: at once, or, when it has to fetch or wait, by a promise. */
export type NotificationHandler = (notification: Notification) => void | Promise<void>;

/** What a notification costs besides its payload. */
const OVERHEAD_BYTES = 128;

/** What was gathered goes out after so many at the latest, so that it can be waited for. */
const MAX_GATHERED = 128;

/** So that a queue that never runs empty does not grow for ever. */
const COMPACT_AFTER = 4_096;

/**
 * Hands notifications on in their order. Those that come while one is being waited
 * for queue up, within a bound, because the socket must go on being read.
 */
export class NotificationQueue {
  readonly #maxBytes: number;
  readonly #handle: NotificationHandler;
  readonly #onPause: () => void | Promise<void>;
  readonly #onOverflow: () => void;
  #waiting: Notification[] = [];
  #next = 0;
  #waitingBytes = 0;
  #running = false;

  /**
   * @param onPause - nothing more to hand on for now, or many were: what was gathered can go out.
   * @param onOverflow - what waited was dropped.
   */
  constructor(
    maxBytes: number,
    handle: NotificationHandler,
    onPause: () => void | Promise<void>,
    onOverflow: () => void,
  ) {
    this.#maxBytes = maxBytes;
    this.#handle = handle;
    this.#onPause = onPause;
    this.#onOverflow = onOverflow;
  }

  /** The bytes that wait. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  push(notification: Notification): void {
    this.#waitingBytes += notification.payload.length + OVERHEAD_BYTES;
    this.#waiting.push(notification);
    if (this.#waitingBytes > this.#maxBytes) {
      this.clear();
      this.#onOverflow();
    }
    if (this.#running) return;
    this.#running = true;
    // A chunk read from the socket carries many: they are handled together.
    queueMicrotask(() => void this.#run());
  }

  /** Drops what waits. */
  clear(): void {
    this.#waiting = [];
    this.#next = 0;
    this.#waitingBytes = 0;
  }

  async #run(): Promise<void> {
    let gathered = 0;
    for (;;) {
      const notification = gathered < MAX_GATHERED ? this.#shift() : undefined;
      const isEmpty = notification === undefined && gathered < MAX_GATHERED;
      const busy = notification === undefined ? this.#onPause() : this.#handle(notification);
      gathered = notification === undefined ? 0 : gathered + 1;
      if (busy !== undefined) await busy;
      else if (isEmpty) break;
    }
    this.#running = false;
  }

  #shift(): Notification | undefined {
    const notification = this.#waiting[this.#next];
    if (notification === undefined) return undefined;
    this.#next += 1;
    this.#waitingBytes -= notification.payload.length + OVERHEAD_BYTES;
    if (this.#next === COMPACT_AFTER) {
      this.#waiting = this.#waiting.slice(COMPACT_AFTER);
      this.#next = 0;
    }
    return notification;
  }
}
