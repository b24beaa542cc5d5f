import { readdir, readFile } from "node:fs/promises";

/** Linux counts a process's time in these. */
const TICKS_PER_SECOND = 100;

interface ProcessTime {
  readonly pid: number;
  readonly parent: number;
  /** Of itself, and of its children that have ended. */
  readonly seconds: number;
}

/** The process that started this one; undefined where the system does not tell. */
export async function fetchParent(pid: number): Promise<number | undefined> {
  return (await fetchTime(pid))?.parent;
}

/** User and system time of a process and its children, such as a PostgreSQL's; undefined where the system does not tell. */
export async function fetchFamilyCpuSeconds(pid: number): Promise<number | undefined> {
  if (process.platform !== "linux") return undefined;
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const times = await Promise.all(pids.map(fetchTime));
  const family = times.filter((time) => time !== undefined && (time.pid === pid || time.parent === pid));
  return family.reduce((sum, time) => sum + (time?.seconds ?? 0), 0);
}

async function fetchTime(pid: number): Promise<ProcessTime | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The program's name, in brackets, may have spaces.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields === undefined) return undefined;
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { pid, parent: Number(fields[1]), seconds: ticks / TICKS_PER_SECOND };
}
