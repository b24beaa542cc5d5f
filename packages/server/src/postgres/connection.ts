import { Socket } from "node:net";
import { Client } from "pg";

/** What {@link openConnection} needs to know. */
export interface ConnectionOptions {
  readonly url: string;
  readonly applicationName: string;
  /** Longer than this to connect, and the attempt fails. */
  readonly connectTimeoutMs: number;
  /** Gives the attempt up. */
  readonly signal?: AbortSignal;
}

/** A client together with its socket, so that a connection that hangs can be cut. */
export interface Connection {
  readonly client: Client;
  /** Runs statements after those that are still running: the client takes one at a time. */
  readonly run: (sql: string) => Promise<void>;
  /** Ends it at once, also when the other side does not answer any more. */
  readonly cut: () => void;
}

/** One connection of its own, with TCP keep-alive. An `error` listener is attached already. */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const socket = new Socket();
  const client = new Client({
    connectionString: options.url,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs,
    keepAlive: true,
    stream: () => socket,
  });
  // Without a listener a lost connection would end the process; whoever cares listens to "end".
  client.on("error", () => undefined);
  const cut = (): void => {
    socket.destroy();
  };
  try {
    options.signal?.throwIfAborted();
    options.signal?.addEventListener("abort", cut);
    await client.connect();
  } catch (error) {
    cut();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", cut);
  }
  let running: Promise<unknown> = Promise.resolve();
  const run = async (sql: string): Promise<void> => {
    const result = running.then(() => client.query(sql));
    running = result.catch(() => undefined);
    await result;
  };
  return { client, run, cut };
}

/** Closes a connection politely, and cuts it when that takes longer than `timeoutMs`. */
export async function closeConnection(connection: Connection, timeoutMs: number): Promise<void> {
  const timer = setTimeout(connection.cut, timeoutMs);
  try {
    await connection.client.end();
  } catch {
    connection.cut(); // It was gone already, which is what was asked for.
  } finally {
    clearTimeout(timer);
  }
}
