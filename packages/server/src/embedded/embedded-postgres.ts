import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { ensureDataDir, writeSecret } from "../data-dir/secrets.ts";
import { findAccount } from "./account.ts";
import { locateBinaries, requirePrograms } from "./binaries.ts";
import { clusterExists, createCluster } from "./cluster.ts";
import { DatabaseLog } from "./database-log.ts";
import { databaseUrl } from "./database-setup.ts";
import { embeddedPaths, Launcher } from "./launcher.ts";
import { makeReachable } from "./reachable-binaries.ts";
import { postgresSettings } from "./settings.ts";
import { Supervisor } from "./supervisor.ts";

/** How {@link startEmbeddedPostgres} runs PostgreSQL. */
export interface EmbeddedPostgresOptions {
  /** Holds the cluster, its log, and what the launcher remembers; made (0700) when missing. */
  readonly dataDir: string;
  /** On 127.0.0.1. */
  readonly port: number;
  /** Of the role; a changed one is applied. */
  readonly password: string;
  /** Created when missing. Default `paperdb`. */
  readonly database?: string;
  /** The superuser, named when the cluster is made. Default `paperdb`. */
  readonly user?: string;
  /** Other binaries than those from npm. */
  readonly binDir?: string;
  /** False trades safety for speed: for tests. Default true. */
  readonly fsync?: boolean;
  /** Server settings that override the launcher's. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether PostgreSQL is started again when it ends by itself. Default true. */
  readonly restart?: boolean;
  /** For PostgreSQL to take connections, crash recovery included. Default 120,000. */
  readonly startTimeoutMs?: number;
  /** For PostgreSQL to end in order before it is ended at once. Default 5,000. */
  readonly stopTimeoutMs?: number;
  /** The longest pause between attempts to start PostgreSQL again. Default 5,000. */
  readonly maxRestartDelayMs?: number;
  /** Bounds PostgreSQL's own log file, which is then emptied. Default 10 MB. */
  readonly maxLogBytes?: number;
  readonly log?: (message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** Told each time that PostgreSQL ends by itself. */
  readonly onExit?: (why: string) => void;
}

/** A PostgreSQL of the product's own. */
export interface EmbeddedPostgres {
  /** With the password. */
  readonly url: string;
  readonly port: number;
  /** Of the process that runs now; another one after a restart. */
  readonly pid: number;
  /** Whether it ran already, started by another process. */
  readonly adopted: boolean;
  /** Whether this start has made the cluster. */
  readonly firstStart: boolean;
  /** Stops PostgreSQL, unless another process uses it too. */
  close(): Promise<void>;
}

/**
 * Starts a PostgreSQL on `dataDir`, or takes over the one that runs there, and
 * keeps it running until `close()`.
 *
 * @throws {RealtimeError} in one sentence that says what to do.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { port, password, user = "paperdb", database = "paperdb", fsync = true } = options;
  const dataDir = resolve(options.dataDir);
  const paths = embeddedPaths(dataDir);
  await ensureDataDir(dataDir);
  if (options.binDir !== undefined) await requirePrograms(options.binDir);
  const account = await findAccount(paths.cluster);
  const binaries = await makeReachable(
    options.binDir ?? (await locateBinaries()),
    account,
    paths.binariesMemo,
  );
  const { binDir } = binaries;
  const firstStart =
    !(await clusterExists(paths.cluster)) &&
    (await createCluster({ folder: paths.cluster, binDir, account, user, password, fsync }));

  const databaseLog = new DatabaseLog(paths.log, options.maxLogBytes ?? 10_000_000);
  const launcher = new Launcher({
    folder: paths.cluster,
    binDir,
    account,
    port,
    settings: postgresSettings(fsync, options.settings),
    databaseLog,
    startTimeoutMs: options.startTimeoutMs ?? 120_000,
    stopTimeoutMs: options.stopTimeoutMs ?? 5_000,
  });
  const lastPassword = await readFile(paths.lastPassword, "utf8").catch(() => undefined);
  const supervisor = new Supervisor({
    launcher,
    databaseLog,
    setup: { user, database, password, lastPassword },
    restart: options.restart ?? true,
    maxRestartDelayMs: options.maxRestartDelayMs ?? 5_000,
    log: options.log ?? (() => undefined),
    onExit: options.onExit ?? (() => undefined),
  });
  const adopted = await supervisor.start();
  if (lastPassword !== password) await writeSecret(paths.lastPassword, password);
  return {
    get url() {
      return databaseUrl({ port: supervisor.port, user, database, password });
    },
    get port() {
      return supervisor.port;
    },
    get pid() {
      return supervisor.pid;
    },
    adopted,
    firstStart,
    async close() {
      const stopped = await supervisor.close();
      if (stopped) await binaries.remove();
    },
  };
}
