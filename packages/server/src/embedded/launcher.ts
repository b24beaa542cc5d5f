import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { RealtimeError } from "@paperdb/protocol";
import type { Account } from "./account.ts";
import type { DatabaseLog } from "./database-log.ts";
import { adoptPostmaster, startPostmaster, stopPostmaster } from "./postmaster.ts";
import type { Postmaster, StartFailure } from "./postmaster.ts";
import { fetchPostmasterFile, isPostmasterOf, isTaken, removeStaleLocks } from "./postmaster-file.ts";

const POLL_INTERVAL_MS = 20;

/** How {@link Launcher} runs PostgreSQL. */
export interface LauncherOptions {
  /** The cluster's folder, which exists. */
  readonly folder: string;
  readonly binDir: string;
  readonly account: Account | undefined;
  readonly port: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly databaseLog: DatabaseLog;
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
}

/** Gets PostgreSQL to run on a cluster: takes over one that runs already, starts one where none does. */
export class Launcher {
  readonly #options: LauncherOptions;

  constructor(options: LauncherOptions) {
    this.#options = options;
  }

  /**
   * A PostgreSQL that takes connections.
   *
   * @param mayMove - asked when one runs on another port than configured: whether it may be stopped.
   * @param signal - ends the attempt, which then throws.
   * @throws {RealtimeError} in one sentence, when none can be had.
   */
  async acquire(
    mayMove: (running: Postmaster) => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<Postmaster> {
    const deadline = Date.now() + this.#options.startTimeoutMs;
    let failure: StartFailure = { kind: "timeout" };
    while (Date.now() < deadline && !signal.aborted) {
      const running = await this.#findRunning(deadline, signal);
      if (running !== undefined) {
        if (running.port === this.#options.port || !(await mayMove(running))) return running;
        await this.stop(running);
        continue;
      }
      const started = await startPostmaster({ ...this.#options, log: this.#options.databaseLog, signal });
      if ("pid" in started) return started;
      failure = started;
      if (failure.kind !== "already-running" && failure.kind !== "memory-in-use") break;
      await delay(POLL_INTERVAL_MS);
    }
    throw this.#describe(failure);
  }

  async stop(postmaster: Postmaster): Promise<void> {
    const { folder, binDir, account, stopTimeoutMs } = this.#options;
    await stopPostmaster(postmaster, { folder, binDir, account, timeoutMs: stopTimeoutMs });
  }

  /** The PostgreSQL that runs on the cluster, once it is ready; undefined when there is none. */
  async #findRunning(deadline: number, signal: AbortSignal): Promise<Postmaster | undefined> {
    const { folder } = this.#options;
    for (;;) {
      const file = await fetchPostmasterFile(folder);
      if (file === undefined) return undefined;
      if (!(await isPostmasterOf(file.pid, folder))) {
        if (isTaken(file.pid)) await removeStaleLocks(folder);
        return undefined;
      }
      if (file.status === "ready") return adoptPostmaster(file.pid, file.port);
      if (Date.now() > deadline || signal.aborted) throw this.#describe({ kind: "timeout" });
      await delay(POLL_INTERVAL_MS);
    }
  }

  #describe(failure: StartFailure): RealtimeError {
    const { folder, port, databaseLog, startTimeoutMs } = this.#options;
    const sentences = {
      "port-taken": `Port ${port} is taken, so the embedded PostgreSQL cannot use it: set PAPERDB_PG_PORT to a free port.`,
      "already-running": `A PostgreSQL that does not answer runs on ${folder}: stop it, or set PAPERDB_DATA_DIR to another folder.`,
      "memory-in-use": `Processes of an earlier PostgreSQL still run on ${folder}: stop them, or set PAPERDB_DATA_DIR to another folder.`,
      timeout: `The embedded PostgreSQL was not ready within ${startTimeoutMs} ms: see ${databaseLog.path}, or set DATABASE_URL.`,
    };
    const sentence =
      failure.kind === "failed"
        ? `The embedded PostgreSQL did not start (${failure.reason}): see ${databaseLog.path}, or set DATABASE_URL.`
        : sentences[failure.kind];
    return new RealtimeError("source_unavailable", sentence);
  }
}

/** The names of the launcher's files in a data folder. */
export function embeddedPaths(
  dataDir: string,
): Readonly<Record<"cluster" | "log" | "binariesMemo" | "lastPassword", string>> {
  return {
    cluster: join(dataDir, "postgres"),
    log: join(dataDir, "postgres.log"),
    binariesMemo: join(dataDir, "postgres-binaries"),
    lastPassword: join(dataDir, "pg-password-applied"),
  };
}
