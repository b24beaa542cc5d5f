import { Socket } from "node:net";
import { Client, Connection } from "pg";
import { VALUE_OPTIONS } from "./stream-settings.ts";

/** How a {@link ReplicationClient} is opened. */
export interface ReplicationClientOptions {
  readonly url: string;
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
  readonly senderTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** A client that speaks the replication protocol, and what lies below it. */
export interface ReplicationClient {
  readonly client: Client;
  readonly connection: Connection;
  readonly socket: Socket;
}

/** Whatever the role's own settings are. */
const SESSION_SETTINGS = `${VALUE_OPTIONS} -c statement_timeout=0`;

/** Connects to the database for replication. */
export async function openReplicationClient(options: ReplicationClientOptions): Promise<ReplicationClient> {
  const { url, applicationName, connectTimeoutMs, senderTimeoutMs, signal } = options;
  const socket = new Socket();
  const settings = {
    connectionString: withOptions(
      url,
      `${SESSION_SETTINGS} -c wal_sender_timeout=${String(senderTimeoutMs)}`,
    ),
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    stream: () => socket,
    replication: "database",
  };
  const client = new Client(settings);
  client.on("error", () => undefined);
  const cut = (): void => {
    socket.destroy();
  };
  signal.throwIfAborted();
  signal.addEventListener("abort", cut);
  try {
    await client.connect();
  } catch (error) {
    cut();
    throw error;
  } finally {
    signal.removeEventListener("abort", cut);
  }
  const connection: unknown = Reflect.get(client, "connection");
  if (!(connection instanceof Connection)) throw new Error("This version of pg has no connection to read.");
  return { client, connection, socket };
}

/** The URL's own options win over those beside it, so ours are put behind them. */
function withOptions(url: string, options: string): string {
  const changed = new URL(url);
  const own = changed.searchParams.get("options");
  changed.searchParams.set("options", own === null ? options : `${own} ${options}`);
  return changed.href;
}
