import { readFile } from "node:fs/promises";

/**
 * How often a process has called write() or writev() since its start, sockets
 * included (`syscw`, https://docs.kernel.org/filesystems/proc.html); undefined
 * where the system does not count it.
 */
export async function fetchWriteCalls(pid: number): Promise<number | undefined> {
  if (process.platform !== "linux") return undefined;
  const count = /^syscw: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, "utf8"))?.[1];
  return count === undefined ? undefined : Number(count);
}
