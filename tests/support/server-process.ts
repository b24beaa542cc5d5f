import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import {
  fetchPostmasterFile,
  isAlive,
  isPostmasterOf,
} from "../../packages/server/src/embedded/postmaster-file.ts";
import { startCommandLine } from "./command-line.ts";
import type { CommandResult, RunningCommand } from "./command-line.ts";
import { freePort } from "./free-port.ts";
import { until } from "./until.ts";

/** Where `paperdb-realtime start` runs, again and again, as a test wants it. */
export interface ServerHome {
  readonly dataDir: string;
  /** The same for every start. */
  readonly url: string;
  /** Starts a server and waits until it says so. */
  start(env?: Readonly<Record<string, string>>): Promise<ServerProcess>;
}

/** A server in a process of its own. */
export interface ServerProcess {
  readonly pid: number;
  /** Of the embedded PostgreSQL's main process; 0 without one. */
  readonly postgresPid: number;
  readonly stdout: string;
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<CommandResult>;
}

/** A folder and ports for servers; when the test is finished, nothing of it is left. */
export async function createServerHome(): Promise<ServerHome> {
  const dataDir = await mkdtemp(join(tmpdir(), "paperdb-test-home-"));
  const port = await freePort();
  const pgPort = await freePort();
  const cluster = join(dataDir, "postgres");
  const started: RunningCommand[] = [];
  onTestFinished(async () => {
    for (const command of started) await command.end("SIGKILL");
    const left = await fetchPostmasterFile(cluster);
    if (left !== undefined && (await isPostmasterOf(left.pid, cluster))) {
      process.kill(left.pid, "SIGQUIT");
      await until(async () => !(await isAlive(left.pid)), { describe: "the end of PostgreSQL" });
    }
    await rm(dataDir, { recursive: true, force: true, maxRetries: 10 });
  });
  return {
    dataDir,
    url: `http://127.0.0.1:${port}`,
    async start(env = {}) {
      const command = startCommandLine(["start"], {
        cwd: dataDir,
        env: {
          PORT: String(port),
          PAPERDB_PG_PORT: String(pgPort),
          PAPERDB_DATA_DIR: dataDir,
          PAPERDB_ADMIN_KEY: "test-admin-key",
          ...env,
        },
      });
      started.push(command);
      await command.waitFor("PaperDB Realtime is running on");
      const postmaster = await fetchPostmasterFile(cluster);
      return {
        pid: command.child.pid ?? 0,
        postgresPid: postmaster?.pid ?? 0,
        get stdout() {
          return command.stdout;
        },
        end: (signal) => command.end(signal),
      };
    },
  };
}

/** All processes that descend from these, and these themselves, as `ps` has them. */
export async function fetchDescendantPids(...roots: readonly number[]): Promise<number[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid="]);
  const pairs = stdout
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  // Of process 0 descends everything there is.
  const found = new Set(roots.filter((pid) => pid > 0));
  // A set's loop visits what is added meanwhile.
  for (const parent of found) {
    for (const [pid = 0, ppid] of pairs) if (ppid === parent) found.add(pid);
  }
  return [...found];
}
