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

  constructor(notify: (channel: string, payload: string) => Promise<unknown>) {
    this.#notify = notify;
  }

  /** The position up to which all has been appended. Rejects when the connection is lost before. */
  async pass(): Promise<Position> {
    const id = randomBytes(12).toString("hex");
    const passed = new Promise<Position>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#notify(this.channel, id).catch((error: unknown) => {
      this.#waiting.get(id)?.reject(error);
      this.#waiting.delete(id);
    });
    return passed;
  }

  /** A barrier was received. One that is not ours is ignored: any role can NOTIFY. */
  seen(id: string, position: Position): void {
    this.#waiting.get(id)?.resolve(position);
    this.#waiting.delete(id);
  }

  /** What was sent may not be received any more. */
  fail(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}
