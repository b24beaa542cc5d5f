import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const SAMPLE_INTERVAL_MS = 20;
const KIBIBYTE = 1024;

/** Resident bytes of a process while something went on. */
export interface ResidentMemory {
  readonly beforeBytes: number;
  readonly peakBytes: number;
}

/** Looks at the process again and again, from outside, until the work is done. */
export async function whileSampling<Result>(
  pid: number,
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly memory: ResidentMemory }> {
  const beforeBytes = await fetchResidentBytes(pid);
  let peakBytes = beforeBytes;
  const done = new AbortController();
  const sampling = (async () => {
    while (!done.signal.aborted) {
      peakBytes = Math.max(peakBytes, await fetchResidentBytes(pid));
      await delay(SAMPLE_INTERVAL_MS);
    }
  })();
  try {
    return { result: await work(), memory: { beforeBytes, peakBytes: await peak() } };
  } finally {
    done.abort();
    await sampling;
  }

  async function peak(): Promise<number> {
    return Math.max(peakBytes, await fetchResidentBytes(pid));
  }
}

async function fetchResidentBytes(pid: number): Promise<number> {
  const text =
    process.platform === "linux"
      ? /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]
      : (await run("ps", ["-o", "rss=", "-p", String(pid)])).stdout.trim();
  return Number(text) * KIBIBYTE;
}
