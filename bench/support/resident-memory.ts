import { setTimeout as delay } from "node:timers/promises";
import { residentBytesOf } from "./process-usage.ts";

const SAMPLE_INTERVAL_MS = 20;

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
  const beforeBytes = await residentBytesOf([pid]);
  let peakBytes = beforeBytes;
  const done = new AbortController();
  const sampling = (async () => {
    while (!done.signal.aborted) {
      peakBytes = Math.max(peakBytes, await residentBytesOf([pid]));
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
    return Math.max(peakBytes, await residentBytesOf([pid]));
  }
}
