import { sequencePosition } from "@paperdb/protocol";
// What is built, as in production: the loader of TypeScript makes closures heavy.
import {
  TOPICS,
  type ChannelKey,
  type SourceEvent,
} from "../../packages/server/dist/source/change-source.js";
import { SSE_FRAMES } from "../../packages/server/dist/transport/sse/sse-frames.js";
import { V1_EVENTS } from "../../packages/server/dist/transport/websocket/event-frames.js";
import { CountingTarget, delivered, heapUsedBytes, hub, nextTurn, sink, source } from "./bare-hub.ts";
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
        const writesBefore = delivered.writes;
        append(keys[(n * 7919) % keys.length]);
        await until(() => delivered.writes >= writesBefore + perChannel);
      }
    }),
  burst: ({ events }) =>
    measure(events, async (frameBytes) => {
      const bytesBefore = delivered.bytes;
      for (let n = 0; n < events; n += 1) {
        append(keys[0]);
        if (n % BURST_EVENTS_PER_TURN === 0) await nextTurn();
      }
      await until(() => delivered.bytes >= bytesBefore + events * perChannel * frameBytes);
    }),
  spread: ({ events }) =>
    measure(events, async (frameBytes) => {
      const bytesBefore = delivered.bytes;
      for (let n = 0; n < events; n += SPREAD_EVENTS_PER_TURN) {
        const batch = Array.from({ length: SPREAD_EVENTS_PER_TURN }, (_, place) =>
          eventOf(keys[((n + place) * 7919) % keys.length]),
        );
        await sink.append(batch);
        await nextTurn();
      }
      await until(() => delivered.bytes >= bytesBefore + events * perChannel * frameBytes);
    }),
};

async function measure(events: number, work: (frameBytes: number) => Promise<void>): Promise<HubCost> {
  const bytesBefore = delivered.bytes;
  const writesBefore = delivered.writes;
  append(keys[0]);
  await until(() => delivered.writes >= writesBefore + perChannel);
  const frameBytes = (delivered.bytes - bytesBefore) / perChannel;
  await nextTurn();
  const warmUpWrites = delivered.writes;
  const before = process.cpuUsage();
  await work(frameBytes);
  const { user, system } = process.cpuUsage(before);
  const deliveries = events * perChannel;
  return {
    perEvent: (user + system) / events,
    perDelivery: (user + system) / deliveries,
    perWrite: deliveries / (delivered.writes - warmUpWrites),
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

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await nextTurn();
}

serveCalls(calls);
