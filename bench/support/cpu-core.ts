import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where the servers run and where the load does: two cores, or any where there is only one. */
export const CORES: { readonly server: number | undefined; readonly load: number | undefined } =
  process.platform === "linux" && availableParallelism() > 1
    ? { server: 0, load: 1 }
    : { server: undefined, load: undefined };

/**
 * Binds all threads of a process to one core, with `taskset` (util-linux);
 * threads and processes that it starts afterwards inherit that.
 *
 * @returns whether it could; false on other systems than Linux, and without `taskset`.
 */
export async function bindToCore(pid: number, core: number | undefined): Promise<boolean> {
  if (core === undefined || process.platform !== "linux") return false;
  try {
    await run("taskset", ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)]);
    return true;
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (isMissing) return false;
    throw error;
  }
}
