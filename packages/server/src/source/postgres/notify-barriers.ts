import { randomBytes } from "node:crypto";
import type { Position } from "@paperdb/protocol";

interface Waiting {
  readonly resolve: (position: Position) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Waits until whatever committed before has been received: notifications arrive in the order of the commits, so our
 * own comes after them all.
 */
export class NotifyBarriers {
  /** LISTENed by this server only. */
  readonly channel: string = `flc_rt_barrier_${randomBytes(9).toString("hex")}`;
  readonly #notify: (channel: string, payload: string) => Promise<unknown>;
  readonly #waiting = new Map<string, Waiting>();
  /** Asked for while another one is being sent: they share the next, for each NOTIFY holds up all others. */
  #next: Promise<Position> | undefined;
  #sending: Promise<unknown> = Promise.resolve();
  #outages = 0;

  constructor(notify: (channel: string, payload: string) => Promise<unknown>) {
    this.#notify = notify;
  }

  /** The position up to which all has been appended. Rejects when the connection is lost before. */
  async pass(): Promise<Position> {
    this.#next ??= this.#sendAfter(this.#sending);
    return this.#next;
  }

  /** A barrier was received. One that is not ours is ignored: any role can NOTIFY. */
  seen(id: string, position: Position): void {
    this.#waiting.get(id)?.resolve(position);
    this.#waiting.delete(id);
  }

  /** What was sent may not be received any more. */
  fail(reason: string): void {
    this.#outages += 1;
    this.#next = undefined;
    this.#sending = Promise.resolve();
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }

  async #sendAfter(former: Promise<unknown>): Promise<Position> {
    const outages = this.#outages;
    await former;
    if (outages !== this.#outages) throw new Error("The connection to the database was lost.");
    this.#next = undefined;
    const id = randomBytes(12).toString("hex");
    const passed = new Promise<Position>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    const sent = this.#notify(this.channel, id);
    this.#sending = sent.catch(() => undefined);
    sent.catch((error: unknown) => {
      this.#waiting.get(id)?.reject(error);
      this.#waiting.delete(id);
    });
    return passed;
  }
}
