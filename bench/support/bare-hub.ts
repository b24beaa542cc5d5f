import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
// What is built, as in production: the loader of TypeScript makes closures heavy.
import type { DeliveryTarget, FrameWriter } from "../../packages/server/dist/hub/delivery.js";
import { Hub } from "../../packages/server/dist/hub/hub.js";
import { MemoryLog } from "../../packages/server/dist/log/memory/memory-log.js";
import { StillSource } from "../../tests/support/still-source.ts";

const log = new MemoryLog({
  maxEventsPerChannel: 10_000,
  maxBytesPerChannel: 16 * 1024 ** 2,
  maxBytesTotal: 64 * 1024 ** 2,
  maxAgeMs: 300_000,
});
/** A hub with nothing around it: a log before it, and targets that only count. */
export const hub: Hub = new Hub(
  log,
  {
    lingerMs: 60_000,
    maxLingeringChannels: 10,
    maxBufferedBytes: 1024 ** 2,
    maxSliceBytes: 64 * 1024,
    writeTimeoutMs: 30_000,
    heartbeatIntervalMs: 3_600_000,
    maxSharedBytes: 16 * 1024 ** 2,
  },
  { delivered() {}, offered() {}, reset() {}, slowConsumer() {} },
);
/** Where the source's events go in. */
export const sink: ReturnType<MemoryLog["sinkFor"]> = log.sinkFor("bench");

/** Watches every channel at once. */
export const source: StillSource = new StillSource("bench");

/** What all targets were given. */
export const delivered: { writes: number; bytes: number } = { writes: 0, bytes: 0 };

/** Takes what it gets, for nothing. */
export class CountingTarget implements DeliveryTarget, FrameWriter {
  readonly keepsUp = true;
  get writer(): this {
    return this;
  }
  greet(): boolean {
    return true;
  }
  write(frames: Buffer): boolean {
    delivered.writes += 1;
    delivered.bytes += frames.length;
    return true;
  }
  end(): void {
    throw new Error("A subscription was ended.");
  }
}

/** In use, after a garbage collection. */
export function heapUsedBytes(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}

/** The next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
