import { randomBytes } from "node:crypto";
import type { DatabasePool } from "../database-pool.ts";
import { BARRIER_PREFIX } from "./published-message.ts";

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Waits until the stream has passed a place: whatever committed before it was asked has been received then. */
export class Barriers {
  readonly #database: Pick<DatabasePool, "use">;
  readonly #waiting = new Map<string, Waiting>();
  /** Asked for while another one's message is being written: they share the next. */
  #next: Promise<void> | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(database: Pick<DatabasePool, "use">) {
    this.#database = database;
  }

  /** Rejects when the stream ends before. */
  async pass(): Promise<void> {
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined;
      return this.#write();
    });
    return this.#next;
  }

  /** The stream has a barrier's message. @returns whether it is one of ours. */
  seen(content: Buffer): boolean {
    const id = content.toString("latin1");
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return false;
    for (const [earlier, { reject }] of this.#waiting) {
      if (earlier === id) break;
      // They are written one after the other: this stream began behind it.
      reject(new Error("The stream has not passed the place."));
      this.#waiting.delete(earlier);
    }
    waiting.resolve();
    return this.#waiting.delete(id);
  }

  /** The stream has ended. */
  fail(reason: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }

  #write(): Promise<void> {
    const id = randomBytes(12).toString("hex");
    const passed = new Promise<void>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    // A commit that is not waited for until it is on disk would not be streamed at once.
    const written = this.#database.use(async (client) => {
      await client.query(
        `begin read write; set local synchronous_commit = local; select pg_catalog.pg_logical_emit_message(true, '${BARRIER_PREFIX}', '${id}'); commit`,
      );
    });
    this.#writing = written.catch(() => undefined);
    written.catch((error: unknown) => {
      this.#waiting.get(id)?.reject(error);
      this.#waiting.delete(id);
    });
    return passed;
  }
}
