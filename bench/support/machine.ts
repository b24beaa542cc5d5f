import { execFile } from "node:child_process";
import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What the figures were taken on. */
export interface Machine {
  readonly description: string;
  /** Open files that a process may have. */
  readonly maxOpenFiles: number;
}

/** Looks at the machine; nothing in it names a host or a folder. */
export async function describeMachine(): Promise<Machine> {
  const model = cpus()[0]?.model.trim() ?? "unknown CPU";
  const memoryGb = Math.round(totalmem() / 1024 ** 3);
  const description = [
    `${availableParallelism()} cores (${model})`,
    `${memoryGb} GB`,
    `${type()} ${release().split("-")[0] ?? ""}`,
    `Node ${process.versions.node}`,
    "PostgreSQL 18 embedded, fsync on",
  ].join(", ");
  return { description, maxOpenFiles: await hardFileLimit() };
}

/** Node raises its soft limit to the hard one by itself at start. */
async function hardFileLimit(): Promise<number> {
  const { stdout } = await run("sh", ["-c", "ulimit -Hn"]);
  const limit = Number(stdout.trim());
  return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
}
