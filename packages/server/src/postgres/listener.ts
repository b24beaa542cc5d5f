import type { Logger } from "pino";
import { escapeIdentifier } from "pg";
import { backoffMs } from "../timing/backoff.ts";
import { closeConnection, openConnection } from "./connection.ts";
import type { Connection } from "./connection.ts";
import { proveDelivery } from "./delivery-probe.ts";
import { within } from "../timing/within.ts";

/** What a {@link PgListener} is made of. The defaults are {@link LISTENER_DEFAULTS}. */
export interface PgListenerOptions {
  readonly url: string;
  readonly applicationName: string;
  readonly log: Logger;
  /** LISTENed from the start. */
  readonly channels?: readonly string[];
  /** Called synchronously, in the order of the commits. Must not throw. */
  readonly onNotification: (channel: string, payload: string) => void;
  /** Connected, delivery proven, every channel LISTENed: what commits from now on is notified. */
  readonly onUp?: () => void;
  /** Notifications may be missed from now on, until the next `onUp`. The reason is a sentence. */
  readonly onDown?: (reason: string) => void;
  readonly minBackoffMs?: number;
  readonly maxBackoffMs?: number;
  readonly connectTimeoutMs?: number;
  /** How often a quiet connection is asked whether it is still there. */
  readonly probeIntervalMs?: number;
  /** An answer that takes longer than this means that the connection is dead. */
  readonly probeTimeoutMs?: number;
}

/** Defaults of {@link PgListenerOptions}. */
export const LISTENER_DEFAULTS = Object.freeze({
  minBackoffMs: 100,
  maxBackoffMs: 5_000,
  connectTimeoutMs: 10_000,
  probeIntervalMs: 10_000,
  probeTimeoutMs: 10_000,
});

/** The listener has no connection at the moment. */
export class ListenerDownError extends Error {
  override readonly name = "ListenerDownError";
}

/**
 * LISTENs on one connection of its own, always in autocommit (a listener idle in a
 * transaction would fill the database's notification queue), its socket never
 * paused, and comes back by itself. NOTIFY has no history: after `onDown` and `onUp`
 * the owner must assume that it missed something.
 */
export class PgListener {
  readonly #options: PgListenerOptions & Readonly<Record<keyof typeof LISTENER_DEFAULTS, number>>;
  readonly #channels = new Set<string>();
  #connection: Connection | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  readonly #closing = new AbortController();
  #reconnecting: Promise<void> | undefined;

  constructor(options: PgListenerOptions) {
    this.#options = { ...LISTENER_DEFAULTS, ...options };
    for (const channel of options.channels ?? []) this.#channels.add(channel);
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Whether notifications are being received. */
  get up(): boolean {
    return this.#connection !== undefined;
  }

  /** The first connection. Rejects when it cannot be made; later outages are handled inside. */
  async open(): Promise<void> {
    await this.#connect();
  }

  /**
   * Resolves once all of these are LISTENed: what commits from then on is notified.
   *
   * @throws {ListenerDownError} there is no connection; the channels are kept, and LISTENed when it is back.
   */
  async listen(channels: Iterable<string>): Promise<void> {
    const added = [...channels];
    for (const channel of added) this.#channels.add(channel);
    await this.#run(statements("LISTEN", added));
  }

  /** Stops notifications of these. Late ones may still be delivered until this resolves. */
  async unlisten(channels: Iterable<string>): Promise<void> {
    const removed = [...channels].filter((channel) => this.#channels.delete(channel));
    if (this.up) await this.#run(statements("UNLISTEN", removed));
  }

  /** Ends the connection, or the attempt to make one; nothing is called any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) await closeConnection(connection, 1_000);
    await this.#reconnecting;
  }

  async #run(sql: string): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) throw new ListenerDownError("The listening connection is down.");
    if (sql === "") return;
    try {
      await within(this.#options.probeTimeoutMs, connection.run(sql));
    } catch (error) {
      // Which of the statements took effect is unknown: a fresh connection knows.
      this.#lose(connection, "The database does not answer any more.");
      throw new ListenerDownError("The listening connection was lost.", { cause: error });
    }
  }

  async #connect(): Promise<void> {
    const options = { ...this.#options, signal: this.#closing.signal };
    const connection = await openConnection(options);
    try {
      connection.client.on("notification", ({ channel, payload }) => {
        if (!this.#closed && this.#channels.has(channel))
          this.#options.onNotification(channel, payload ?? "");
      });
      await proveDelivery(connection, options);
      const listened = new Set<string>();
      // Nothing is awaited behind the last look: whoever adds a channel from then on finds the connection.
      while (!this.#areAll(listened)) await this.#listenToMissing(connection, listened);
    } catch (error) {
      connection.cut();
      throw error;
    }
    if (this.#closed) return closeConnection(connection, 1_000);
    this.#connection = connection;
    this.#failures = 0;
    connection.client.once("end", () => {
      this.#lose(connection, "The connection to the database was lost.");
    });
    this.#probeLater(connection);
    this.#options.onUp?.();
  }

  #areAll(listened: ReadonlySet<string>): boolean {
    for (const channel of this.#channels) if (!listened.has(channel)) return false;
    return true;
  }

  /** Channels may be added while the LISTENs are on their way. */
  async #listenToMissing(connection: Connection, listened: Set<string>): Promise<void> {
    const missing = [...this.#channels].filter((channel) => !listened.has(channel));
    const listening = connection.run(statements("LISTEN", missing));
    await within(this.#options.connectTimeoutMs, listening, this.#closing.signal);
    for (const channel of missing) listened.add(channel);
  }

  #probeLater(connection: Connection): void {
    this.#timer = setTimeout(() => {
      void this.#probe(connection);
    }, this.#options.probeIntervalMs);
    this.#timer.unref();
  }

  async #probe(connection: Connection): Promise<void> {
    try {
      await within(this.#options.probeTimeoutMs, connection.run("SELECT 1"));
      if (this.#connection === connection) this.#probeLater(connection);
    } catch {
      this.#lose(connection, "The database does not answer any more.");
    }
  }

  #lose(connection: Connection, reason: string): void {
    if (this.#connection !== connection || this.#closed) return;
    this.#connection = undefined;
    clearTimeout(this.#timer);
    connection.cut();
    this.#options.onDown?.(reason);
    this.#reconnectLater();
  }

  #reconnectLater(): void {
    this.#failures += 1;
    const waitMs = backoffMs(this.#failures, {
      minMs: this.#options.minBackoffMs,
      maxMs: this.#options.maxBackoffMs,
    });
    this.#timer = setTimeout(() => {
      this.#reconnecting = this.#reconnect();
    }, waitMs);
  }

  async #reconnect(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      if (this.#closed) return;
      const reason = error instanceof Error ? error.message : "unknown error";
      this.#options.log.warn(
        { reason, failures: this.#failures },
        "Cannot listen to the database, will retry",
      );
      this.#options.onDown?.(reason);
      this.#reconnectLater();
    }
  }
}

function statements(verb: "LISTEN" | "UNLISTEN", channels: readonly string[]): string {
  return channels.map((channel) => `${verb} ${escapeIdentifier(channel)}`).join("; ");
}
