import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { RealtimeError } from "@paperdb/protocol";
import { isAlive } from "./postmaster-file.ts";

/** The keys of the advisory locks: the first is "PaperDB" as a number, the second the lock. */
const LOCK_CLASS = 1_885_434_482;
const SERVER_LOCK = 1;
const USE_LOCK = 2;
const KILLED_HOLDER_WAIT_MS = 2_000;
const LOCK_POLL_INTERVAL_MS = 50;

/** The right to be the one server of a data folder. */
export interface ServerLock {
  release(): Promise<void>;
}

/** What {@link lockDataDir} may be told. */
export interface ServerLockOptions {
  /** Told once when the lock is lost for good: PostgreSQL went away, and another server was faster. */
  readonly onLost?: (error: RealtimeError) => void;
  /** Between attempts to take the lock again after PostgreSQL went away. */
  readonly retryIntervalMs?: number;
}

/**
 * Makes this process the one server of the data folder, by a lock that its own
 * connection to the embedded database holds: a killed server leaves nothing behind.
 *
 * When PostgreSQL is restarted, the lock is taken again.
 *
 * @throws {RealtimeError} `conflict`, which names the folder and the other server's process.
 */
export async function lockDataDir(
  url: string,
  dataDir: string,
  { onLost, retryIntervalMs = 250 }: ServerLockOptions = {},
): Promise<ServerLock> {
  let released = false;
  let retry: NodeJS.Timeout | undefined;
  let client = await connectAndLock(url, dataDir, onEnd);

  function onEnd(): void {
    if (!released) retry = setTimeout(() => void takeAgain(), retryIntervalMs).unref();
  }
  async function takeAgain(): Promise<void> {
    try {
      client = await connectAndLock(url, dataDir, onEnd);
      if (released) await client.end();
    } catch (error) {
      if (released) return;
      if (error instanceof RealtimeError) onLost?.(error);
      else onEnd();
    }
  }
  return {
    async release() {
      released = true;
      clearTimeout(retry);
      await client.end();
    },
  };
}

async function connectAndLock(url: string, dataDir: string, onEnd: () => void): Promise<Client> {
  const client = await connect(url, "server");
  // PostgreSQL notices a moment later that a server was killed.
  const deadline = Date.now() + KILLED_HOLDER_WAIT_MS;
  let holder: number | undefined;
  do {
    if (await tryLock(client)) {
      client.once("end", onEnd);
      return client;
    }
    holder = await fetchHolder(client);
    if (holder !== undefined && (await isAlive(holder))) break;
    await delay(LOCK_POLL_INTERVAL_MS);
  } while (Date.now() < deadline);
  await client.end();
  throw new RealtimeError(
    "conflict",
    `Another server (pid ${holder ?? "unknown"}) runs on the data folder ${dataDir}: stop it, or give this one a folder and ports of its own by PAPERDB_DATA_DIR, PAPERDB_PG_PORT and PORT.`,
  );
}

async function tryLock(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>("select pg_try_advisory_lock($1, $2) as locked", [
    LOCK_CLASS,
    SERVER_LOCK,
  ]);
  return rows[0]?.locked === true;
}

/** The process that holds the lock, by its own word. */
async function fetchHolder(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ name: string }>(
    `select a.application_name as name from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.classid = $1 and l.objid = $2 and l.granted
       and l.database = (select oid from pg_database where datname = current_database())`,
    [LOCK_CLASS, SERVER_LOCK],
  );
  const pid = /pid=(\d+)/.exec(rows[0]?.name ?? "")?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** Marks the embedded database as in use by a process, so that no other one stops it at its own end. */
export class DatabaseUse {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<DatabaseUse> {
    const client = await connect(url, "launcher");
    try {
      await client.query("select pg_advisory_lock_shared($1, $2)", [LOCK_CLASS, USE_LOCK]);
    } catch (error) {
      await client.end();
      throw error;
    }
    return new DatabaseUse(client);
  }

  /** Ends this use; whether it was the only one. True too when PostgreSQL is gone. */
  async close(): Promise<boolean> {
    try {
      const { rows } = await this.#client.query<{ alone: boolean }>(
        `select pg_advisory_unlock_shared($1, $2), pg_try_advisory_lock($1, $2) as alone`,
        [LOCK_CLASS, USE_LOCK],
      );
      return rows[0]?.alone !== false;
    } catch {
      return true;
    } finally {
      await this.#client.end().catch(() => undefined);
    }
  }
}

async function connect(url: string, role: string): Promise<Client> {
  const client = new Client({
    connectionString: url,
    application_name: `paperdb-realtime ${role} pid=${process.pid}`,
    keepAlive: true,
  });
  // The "end" that follows is what counts.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}
