import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const KIBIBYTE = 1024;

/**
 * CPU time of processes, user and system, all threads, from outside. On Linux
 * in nanoseconds, by the scheduler's own account
 * (https://docs.kernel.org/scheduler/sched-stats.html); elsewhere by `ps`, to a hundredth of a second.
 */
export async function cpuSecondsOf(pids: readonly number[]): Promise<number> {
  const seconds = await Promise.all(
    pids.map((pid) => (process.platform === "linux" ? runTime(pid) : psTime(pid))),
  );
  return seconds.reduce((sum, each) => sum + each, 0);
}

/** Memory of processes that is in RAM. What they share counts for each of them. */
export async function residentBytesOf(pids: readonly number[]): Promise<number> {
  const bytes = await Promise.all(pids.map(residentBytes));
  return bytes.reduce((sum, each) => sum + each, 0);
}

async function runTime(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(threads.map((thread) => threadNanoseconds(pid, thread)));
  return times.reduce((sum, each) => sum + each, 0) / 1e9;
}

async function threadNanoseconds(pid: number, thread: string): Promise<number> {
  try {
    const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8");
    return Number(text.split(" ")[0]);
  } catch (error) {
    // It ended in between.
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH"))
      return 0;
    throw error;
  }
}

/** `ps` prints `[[days-]hours:]minutes:seconds`. */
async function psTime(pid: number): Promise<number> {
  const { stdout } = await run("ps", ["-o", "time=", "-p", String(pid)]);
  const [clock = "", days = "0"] = stdout.trim().split("-").toReversed();
  const seconds = clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return Number(days) * 86_400 + seconds;
}

async function residentBytes(pid: number): Promise<number> {
  if (process.platform === "linux") {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * KIBIBYTE;
  }
  const { stdout } = await run("ps", ["-o", "rss=", "-p", String(pid)]);
  return Number(stdout.trim()) * KIBIBYTE;
}
