import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorCode } from "../data-dir/error-code.ts";
import { within } from "../timing/within.ts";
import { spawnPlace } from "./account.ts";
import type { Account } from "./account.ts";
import type { DatabaseLog } from "./database-log.ts";
import { fetchPostmasterFile, isAlive } from "./postmaster-file.ts";
import { programEnvironment, runProgram } from "./run-program.ts";

const POLL_INTERVAL_MS = 10;
const ADOPTED_POLL_INTERVAL_MS = 200;
/** Longer than PostgreSQL waits for its own processes. */
const QUIT_TIMEOUT_MS = 6_000;

/** How PostgreSQL is started on a cluster. */
export interface PostmasterOptions {
  readonly folder: string;
  readonly binDir: string;
  readonly account: Account | undefined;
  readonly port: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly log: DatabaseLog;
  /** Crash recovery included. */
  readonly startTimeoutMs: number;
  /** Ends a start that is under way, as if its time were up. */
  readonly signal: AbortSignal;
}

/** A running PostgreSQL. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** Started by another process, which is gone or runs beside this one. */
  readonly adopted: boolean;
  /** Resolves with the reason once the process has ended. */
  readonly exited: Promise<string>;
}

/** Why a start failed, as far as the caller can do something about it. */
export type StartFailure =
  | { readonly kind: "port-taken" | "already-running" | "memory-in-use" | "timeout" }
  | { readonly kind: "failed"; readonly reason: string };

/** Starts PostgreSQL and waits until it takes connections. */
export async function startPostmaster(options: PostmasterOptions): Promise<Postmaster | StartFailure> {
  const { log } = options;
  const output = await log.open();
  const logOffset = await log.fetchSize();
  const child = spawnPostgres(options, output.fd);
  // Listened for before anything is awaited: it may end at once, and says so only once.
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
  });
  let reason: string | undefined;
  void exited.then((why) => (reason = why));
  await output.close();
  const deadline = Date.now() + options.startTimeoutMs;
  for (;;) {
    if (reason !== undefined) return classifyFailure(await log.fetchAfter(logOffset), reason);
    const file = await fetchPostmasterFile(options.folder);
    if (file?.status === "ready" && file.pid === child.pid) {
      return { pid: file.pid, port: options.port, adopted: false, exited };
    }
    if (Date.now() > deadline || options.signal.aborted) {
      child.ref();
      await endAtOnce(child, exited);
      return { kind: "timeout" };
    }
    await delay(POLL_INTERVAL_MS);
  }
}

/** @param exited - resolves once it has ended. */
async function endAtOnce(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  child.kill("SIGQUIT");
  await within(QUIT_TIMEOUT_MS, exited).catch(() => child.kill("SIGKILL"));
  await exited;
}

function spawnPostgres(options: PostmasterOptions, outputFd: number): ChildProcess {
  const { dataArgument, ...place } = spawnPlace(options.folder, options.account);
  const settings = Object.entries(options.settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  // The cluster's own folder, closed to others, holds the socket: short, and private.
  const socket = process.platform === "win32" ? [] : ["-k", "."];
  const child = spawn(
    join(options.binDir, "postgres"),
    ["-D", dataArgument, "-p", String(options.port), ...socket, ...settings],
    // Its own process group: Ctrl-C is for the server, which then stops PostgreSQL in order.
    {
      ...place,
      env: programEnvironment(),
      stdio: ["ignore", outputFd, outputFd],
      detached: true,
      windowsHide: true,
    },
  );
  child.unref();
  return child;
}

function classifyFailure(output: string, exitReason: string): StartFailure {
  if (/could not bind .*(?:in use|only one usage)/i.test(output)) return { kind: "port-taken" };
  if (/lock file ".*" already exists/.test(output)) return { kind: "already-running" };
  if (output.includes("pre-existing shared memory block")) return { kind: "memory-in-use" };
  const fatal = [...output.matchAll(/(?:FATAL|PANIC):\s+(.*)/g)].at(-1)?.[1];
  return { kind: "failed", reason: fatal ?? (output.trim().split("\n").at(-1) || exitReason) };
}

/** Takes over a PostgreSQL that another process has started. */
export function adoptPostmaster(pid: number, port: number): Postmaster {
  return { pid, port, adopted: true, exited: waitForExit(pid) };
}

async function waitForExit(pid: number): Promise<string> {
  while (await isAlive(pid)) await delay(ADOPTED_POLL_INTERVAL_MS, undefined, { ref: false });
  return "it ended";
}

/** Ends PostgreSQL: in order, and when that takes longer than `timeoutMs`, at once (it then recovers at its next start). */
export async function stopPostmaster(
  postmaster: Pick<Postmaster, "pid">,
  { folder, binDir, account, timeoutMs }: StopOptions,
): Promise<void> {
  if (process.platform === "win32") {
    const { dataArgument, ...place } = spawnPlace(folder, account);
    await runProgram(join(binDir, "pg_ctl"), ["stop", "-D", dataArgument, "-m", "fast"], place);
    return;
  }
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    if (!sendSignal(postmaster.pid, signal)) return;
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      if (!(await isAlive(postmaster.pid))) return;
      await delay(POLL_INTERVAL_MS);
    }
  }
}

/** How {@link stopPostmaster} ends it. */
export interface StopOptions extends Pick<PostmasterOptions, "folder" | "binDir" | "account"> {
  readonly timeoutMs: number;
}

function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (errorCode(error) === "ESRCH") return false;
    throw error;
  }
}
