import { execFile } from "node:child_process";
import { readdir, readFile, readlink, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { errorCode } from "../data-dir/error-code.ts";

/** What a cluster's `postmaster.pid` says of the process that runs it. */
export interface PostmasterFile {
  readonly pid: number;
  readonly port: number;
  readonly status: "starting" | "stopping" | "ready" | "unknown";
}

/** Reads `postmaster.pid`; undefined where there is none, or it is still being written. */
export async function fetchPostmasterFile(clusterFolder: string): Promise<PostmasterFile | undefined> {
  const text = await readFile(join(clusterFolder, "postmaster.pid"), "utf8").catch(() => undefined);
  return text === undefined ? undefined : parsePostmasterFile(text);
}

/** The lines are those of PostgreSQL's `pidfile.h`. */
export function parsePostmasterFile(text: string): PostmasterFile | undefined {
  const lines = text.split("\n").map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const status = lines[7];
  return {
    pid,
    port: Number(lines[3] ?? 0),
    status: status === "ready" || status === "starting" || status === "stopping" ? status : "unknown",
  };
}

/** Whether a process has this id, be it one that ended and was not waited for (a zombie). */
export function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === "EPERM";
  }
}

/** Whether a process with this id exists and has not ended. */
export async function isAlive(pid: number): Promise<boolean> {
  if (!isTaken(pid)) return false;
  if (process.platform !== "linux") return true;
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}

/** Whether the process is a PostgreSQL that runs this cluster, and not one that reuses its id. */
export async function isPostmasterOf(pid: number, clusterFolder: string): Promise<boolean> {
  if (!(await isAlive(pid))) return false;
  if (process.platform === "win32") return true;
  if (process.platform !== "linux") {
    const { stdout } = await promisify(execFile)("ps", ["-o", "command=", "-p", String(pid)]).catch(() => ({
      stdout: "",
    }));
    return stdout.includes("postgres") && stdout.includes(clusterFolder);
  }
  const [cwd, command, folder] = await Promise.all([
    readlink(`/proc/${pid}/cwd`).catch(() => undefined),
    readFile(`/proc/${pid}/comm`, "utf8").catch(() => ""),
    realpath(clusterFolder).catch(() => undefined),
  ]);
  return cwd !== undefined && cwd === folder && command.startsWith("postgres");
}

/**
 * Removes the lock files of a PostgreSQL that is gone, while its id is taken: by
 * another program, or by itself as a zombie that a container's first process
 * does not wait for. PostgreSQL would take either for a running one. Should its
 * children still run, their shared memory keeps the next start off.
 */
export async function removeStaleLocks(clusterFolder: string): Promise<void> {
  for (const name of await readdir(clusterFolder)) {
    if (name === "postmaster.pid" || /^\.s\.PGSQL\.\d+(\.lock)?$/.test(name)) {
      await rm(join(clusterFolder, name), { force: true });
    }
  }
}
