import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { sequencePosition } from "@paperdb/protocol";
// What is built, as in production: the loader of TypeScript makes closures heavy.
import type { DeliveryTarget } from "../../packages/server/dist/hub/delivery.js";
import { Hub } from "../../packages/server/dist/hub/hub.js";
import { MemoryLog } from "../../packages/server/dist/log/memory/memory-log.js";
import {
  TOPICS,
  type ChangeSource,
  type ChannelKey,
  type SourceEvent,
} from "../../packages/server/dist/source/change-source.js";
import { SSE_FRAMES } from "../../packages/server/dist/transport/sse/sse-frames.js";
import { V1_EVENTS } from "../../packages/server/dist/transport/websocket/event-frames.js";
import { serveCalls } from "./worker-process.ts";

/** The calls of a hub with nothing around it. */
export interface HubCalls {
  [call: string]: (argument: never) => unknown;
  /** Subscribes, once; returns the bytes of heap that each subscription takes, its part of its channel included. */
  subscribe(argument: {
    channels: number;
    perChannel: number;
    transport: "sse" | "websocket";
  }): Promise<number>;
  /** One event after another, to one channel after another, each once all have the one before. */
  steady(argument: { events: number }): Promise<HubCost>;
  /** Events of the first channel, some in each turn of the event loop, whether or not all have those before. */
  burst(argument: { events: number }): Promise<HubCost>;
  /** As a database's log hands them over: a hundred in each turn of the event loop, each of another channel. */
  spread(argument: { events: number }): Promise<HubCost>;
}

/** CPU time in µs, user and system. */
export interface HubCost {
  readonly perEvent: number;
  readonly perDelivery: number;
  /** Events in one write, on average. */
  readonly perWrite: number;
}

/** As many as one publisher's connection brings in a turn. */
const BURST_EVENTS_PER_TURN = 4;
const SPREAD_EVENTS_PER_TURN = 100;
const DATA = JSON.stringify({ text: "x".repeat(280) });

const log = new MemoryLog({
  maxEventsPerChannel: 10_000,
  maxBytesPerChannel: 16 * 1024 ** 2,
  maxBytesTotal: 64 * 1024 ** 2,
  maxAgeMs: 300_000,
});
const hub = new Hub(
  log,
  {
    lingerMs: 60_000,
    maxLingeringChannels: 10,
    maxBufferedBytes: 1024 ** 2,
    maxSliceBytes: 64 * 1024,
    writeTimeoutMs: 30_000,
    heartbeatIntervalMs: 3_600_000,
  },
  { delivered() {}, offered() {}, reset() {}, slowConsumer() {} },
);
const sink = log.sinkFor("bench");

const source: ChangeSource = {
  name: "bench",
  epoch: "1",
  state: () => ({ live: true }),
  collections: () => [],
  whyNotCollection: () => Promise.resolve(undefined),
  watch: () => Promise.resolve(sequencePosition(0)),
  unwatch() {},
  close: () => Promise.resolve(),
};

/** Takes what it gets, for nothing. */
class CountingTarget implements DeliveryTarget {
  readonly keepsUp = true;
  greet(): boolean {
    return true;
  }
  write(frames: Buffer): boolean {
    writes += 1;
    bytes += frames.length;
    return true;
  }
  end(): void {
    throw new Error("A subscription was ended.");
  }
}

let writes = 0;
let bytes = 0;
let sequence = 0;
let perChannel = 0;
const keys: ChannelKey[] = [];

const calls: HubCalls = {
  async subscribe({ channels, perChannel: count, transport }) {
    perChannel = count;
    const format = transport === "sse" ? SSE_FRAMES : V1_EVENTS;
    for (let n = 0; n < channels; n += 1) keys.push({ tenant: `tenant-${n}`, collection: TOPICS });
    const before = heapUsedBytes();
    for (const key of keys) {
      for (let n = 0; n < perChannel; n += 1) {
        const channel = await hub.open(source, key);
        hub.subscribe(channel, {
          target: new CountingTarget(),
          format,
          filter: undefined,
          cursor: undefined,
        });
      }
    }
    await nextTurn();
    return (heapUsedBytes() - before) / (channels * perChannel);
  },
  steady: ({ events }) =>
    measure(events, async () => {
      for (let n = 0; n < events; n += 1) {
        const writesBefore = writes;
        append(keys[(n * 7919) % keys.length]);
        await until(() => writes >= writesBefore + perChannel);
      }
    }),
  burst: ({ events }) =>
    measure(events, async (frameBytes) => {
      const bytesBefore = bytes;
      for (let n = 0; n < events; n += 1) {
        append(keys[0]);
        if (n % BURST_EVENTS_PER_TURN === 0) await nextTurn();
      }
      await until(() => bytes >= bytesBefore + events * perChannel * frameBytes);
    }),
  spread: ({ events }) =>
    measure(events, async (frameBytes) => {
      const bytesBefore = bytes;
      for (let n = 0; n < events; n += SPREAD_EVENTS_PER_TURN) {
        const batch = Array.from({ length: SPREAD_EVENTS_PER_TURN }, (_, place) =>
          eventOf(keys[((n + place) * 7919) % keys.length]),
        );
        await sink.append(batch);
        await nextTurn();
      }
      await until(() => bytes >= bytesBefore + events * perChannel * frameBytes);
    }),
};

async function measure(events: number, work: (frameBytes: number) => Promise<void>): Promise<HubCost> {
  const bytesBefore = bytes;
  const writesBefore = writes;
  append(keys[0]);
  await until(() => writes >= writesBefore + perChannel);
  const frameBytes = (bytes - bytesBefore) / perChannel;
  await nextTurn();
  const warmUpWrites = writes;
  const before = process.cpuUsage();
  await work(frameBytes);
  const { user, system } = process.cpuUsage(before);
  const deliveries = events * perChannel;
  return {
    perEvent: (user + system) / events,
    perDelivery: (user + system) / deliveries,
    perWrite: deliveries / (writes - warmUpWrites),
  };
}

function append(channel: ChannelKey | undefined): void {
  void sink.append([eventOf(channel)]);
}

function eventOf(channel: ChannelKey | undefined): SourceEvent {
  if (channel === undefined) throw new Error("Nothing is subscribed.");
  sequence += 1;
  return {
    channel,
    position: sequencePosition(sequence),
    committedAtMs: undefined,
    body: { topic: "bench.event", data: DATA },
  };
}

function heapUsedBytes(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await nextTurn();
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

serveCalls(calls);
