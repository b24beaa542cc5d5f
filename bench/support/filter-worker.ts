import { sequencePosition } from "@paperdb/protocol";
// What is built, as in production: the loader of TypeScript makes closures heavy.
import { parseFilter } from "../../packages/server/dist/filter/parse-filter.js";
import { documentFilter } from "../../packages/server/dist/hub/document-filter.js";
import type { ChannelKey, SourceEvent } from "../../packages/server/dist/source/change-source.js";
import { SSE_FRAMES } from "../../packages/server/dist/transport/sse/sse-frames.js";
import { CountingTarget, delivered, heapUsedBytes, hub, nextTurn, sink, source } from "./bare-hub.ts";
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
    const writesBefore = delivered.writes;
    const before = process.cpuUsage();
    for (let left = changes; left > 0; left -= CHANGES_PER_TURN) {
      await sink.append(Array.from({ length: Math.min(left, CHANGES_PER_TURN) }, nextChange));
      await nextTurn();
    }
    await nextTurn();
    const { user, system } = process.cpuUsage(before);
    if (delivered.writes === writesBefore || delivered.bytes === 0) throw new Error("Nothing was delivered.");
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

serveCalls(calls);
