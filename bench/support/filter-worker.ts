import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { sequencePosition } from "@paperdb/protocol";
// What is built, as in production: the loader of TypeScript makes closures heavy.
import { parseFilter } from "../../packages/server/dist/filter/parse-filter.js";
import type { DeliveryTarget } from "../../packages/server/dist/hub/delivery.js";
import { documentFilter } from "../../packages/server/dist/hub/document-filter.js";
import { Hub } from "../../packages/server/dist/hub/hub.js";
import { MemoryLog } from "../../packages/server/dist/log/memory/memory-log.js";
import type {
  ChangeSource,
  ChannelKey,
  SourceEvent,
} from "../../packages/server/dist/source/change-source.js";
import { SSE_FRAMES } from "../../packages/server/dist/transport/sse/sse-frames.js";
import { serveCalls } from "./worker-process.ts";

/** The calls of a hub with nothing around it, of whose subscriptions each has a filter of its own. */
export interface FilterCalls {
  [call: string]: (argument: never) => unknown;
  /** Subscribes, once; returns the bytes of heap that each subscription takes. */
  subscribe(argument: { subscriptions: number }): Promise<number>;
  /** Changes documents, one after another; each matches one filter. Returns the µs of CPU per change. */
  change(argument: { changes: number }): Promise<number>;
}

const CHANNEL: ChannelKey = { tenant: "bench", collection: "messages" };
/** A round of the event loop has so many changes. */
const CHANGES_PER_TURN = 8;
const TEXT = "x".repeat(120);

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
let rooms = 0;
let sequence = 0;

const calls: FilterCalls = {
  async subscribe({ subscriptions }) {
    const before = heapUsedBytes();
    for (; rooms < subscriptions; rooms += 1) {
      const channel = await hub.open(source, CHANNEL);
      const filter = documentFilter(parseFilter({ room: `room-${rooms}` }, "where"));
      hub.subscribe(channel, { target: new CountingTarget(), format: SSE_FRAMES, filter, cursor: undefined });
    }
    await nextTurn();
    return (heapUsedBytes() - before) / subscriptions;
  },
  async change({ changes }) {
    const writesBefore = writes;
    const before = process.cpuUsage();
    for (let left = changes; left > 0; left -= CHANGES_PER_TURN) {
      await sink.append(Array.from({ length: Math.min(left, CHANGES_PER_TURN) }, nextChange));
      await nextTurn();
    }
    await nextTurn();
    const { user, system } = process.cpuUsage(before);
    if (writes === writesBefore || bytes === 0) throw new Error("Nothing was delivered.");
    return (user + system) / changes;
  },
};

/** Rooms take turns, in steps that leave no neighbours together. */
function nextChange(): SourceEvent {
  sequence += 1;
  const room = `room-${(sequence * 7919) % rooms}`;
  const document = (likes: number): string =>
    JSON.stringify({ id: sequence, room, author: `user-${sequence % 100}`, likes, text: TEXT });
  return {
    channel: CHANNEL,
    position: sequencePosition(sequence),
    committedAtMs: undefined,
    body: { type: "update", documentId: String(sequence), document: document(1), prior: document(0) },
  };
}

function heapUsedBytes(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

serveCalls(calls);
