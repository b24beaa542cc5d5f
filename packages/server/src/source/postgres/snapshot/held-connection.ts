import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "pg";
import type { PoolClient } from "pg";

/** How often the database looks whether we are still there, while it has nothing to send. */
const CONNECTION_CHECK_MS = 500;
/** Until then a database that was cut off may still work. */
const ENDING_MS = 2 * CONNECTION_CHECK_MS;

/**
 * Makes the database end what nobody waits for any more: it would notice only when it sends something, which a long
 * scan, or waiting for a lock, does not. Not every platform of the database can; there `statement_timeout` ends it.
 */
export async function endWithConnection(client: PoolClient): Promise<void> {
  await client.query(`SET client_connection_check_interval = ${String(CONNECTION_CHECK_MS)}`);
}

/** A pool's connection that is given back or cut exactly once, the latter as soon as the signal is aborted. */
export class HeldConnection {
  readonly client: PoolClient;
  /** Resolves once it was given back, and the database does nothing for it any more. */
  readonly over: Promise<void>;
  readonly #signal: AbortSignal;
  readonly #closing: AbortSignal;
  #isOver = false;
  #onOver: () => void = () => undefined;

  /** @param closing - of the pool: nobody waits then for what the database still does. */
  constructor(client: PoolClient, signal: AbortSignal, closing: AbortSignal) {
    this.client = client;
    this.#signal = signal;
    this.#closing = closing;
    this.over = new Promise((resolve) => {
      this.#onOver = resolve;
    });
    if (signal.aborted) this.cut();
    else signal.addEventListener("abort", this.cut, { once: true });
  }

  /** At once, also while the database waits for us to read. */
  readonly cut = (): void => {
    if (!this.#end()) return;
    const connection: unknown = Reflect.get(this.client, "connection");
    if (connection instanceof Connection) connection.stream.destroy();
    // Whoever comes and leaves again and again must not make the database work for more than the pool is large.
    const ended = sleep(ENDING_MS, undefined, { signal: this.#closing });
    ended
      .catch(() => undefined)
      .finally(() => {
        this.client.release(true);
        this.#onOver();
      });
  };

  /** The database has ended what it did with an error. */
  discard(): void {
    if (!this.#end()) return;
    this.client.release(true);
    this.#onOver();
  }

  giveBack(): void {
    if (!this.#end()) return;
    this.client.release();
    this.#onOver();
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#signal.removeEventListener("abort", this.cut);
    return true;
  }
}
