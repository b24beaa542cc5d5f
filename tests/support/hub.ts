import { sequencePosition, type DocumentChange } from "@paperdb/protocol";
import { afterEach } from "vitest";
import type { EventFilter, FrameFormat } from "../../packages/server/src/hub/delivery.ts";
import { Hub, type HubSettings } from "../../packages/server/src/hub/hub.ts";
import { MemoryLog, type HistoryLimits } from "../../packages/server/src/log/memory/memory-log.ts";
import type { SnapshotReads } from "../../packages/server/src/snapshot/snapshot-reads.ts";
import type { ChangeSink, ChannelKey, SourceEvent } from "../../packages/server/src/source/change-source.ts";
import { LinePeer, LINES } from "./line-peer.ts";
import { StillSource } from "./still-source.ts";

/** The channel of most tests. */
export const KEY: ChannelKey = { tenant: "a", collection: "todos" };

/** Bounds that no test meets that does not change them, but for the size of slices. */
export const HUB_SETTINGS: HubSettings = {
  lingerMs: 60_000,
  maxLingeringChannels: 10,
  maxBufferedBytes: 1_000_000,
  maxSliceBytes: 40,
  writeTimeoutMs: 60_000,
  heartbeatIntervalMs: 60_000,
  maxSharedBytes: 1e9,
};
const LIMITS: HistoryLimits = {
  maxEventsPerChannel: 1000,
  maxBytesPerChannel: 1e9,
  maxBytesTotal: 1e9,
  maxAgeMs: 1e9,
};

/** What a hub is to have other than usual. */
export interface HubChanges {
  readonly limits?: Partial<HistoryLimits>;
  readonly settings?: Partial<HubSettings>;
  readonly snapshots?: SnapshotReads;
}

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A hub behind a log of its own; both end with the test. */
export function openHub({ limits, settings, snapshots }: HubChanges = {}): {
  readonly log: MemoryLog;
  readonly hub: Hub;
  readonly close: () => void;
} {
  const log = new MemoryLog({ ...LIMITS, ...limits });
  const observer = { delivered() {}, offered() {}, reset() {}, slowConsumer() {} };
  const hub = new Hub(log, { ...HUB_SETTINGS, ...settings }, observer, snapshots);
  const close = (): void => {
    hub.close();
    log.stop();
  };
  closers.push(close);
  return { log, hub, close };
}

/** Counts its events, and keeps what nobody watches any more. */
export class CountingSource extends StillSource {
  readonly unwatched: ChannelKey[] = [];

  constructor() {
    super("counting");
  }

  /** The position of the next event. */
  next(): string {
    this.sequence += 1;
    return sequencePosition(this.sequence);
  }

  override unwatch(key: ChannelKey): void {
    this.unwatched.push(key);
  }
}

/** A hub with one source, and peers on one channel. */
export interface HubWorld {
  readonly log: MemoryLog;
  readonly hub: Hub;
  readonly source: CountingSource;
  readonly sink: ChangeSink;
  readonly push: (body: DocumentChange, channel?: ChannelKey) => SourceEvent;
  /** Inserts a document. */
  readonly append: (documentId: string) => SourceEvent;
  /** @param filterId - what ids of documents begin with that it sees; absent: all. */
  readonly connect: (cursor?: string, filterId?: string) => Promise<LinePeer>;
  readonly connectTo: (
    filter: EventFilter | undefined,
    cursor?: string,
    format?: FrameFormat,
  ) => Promise<LinePeer>;
}

/** Opens a hub with a source. */
export function setUpHub(limits: Partial<HistoryLimits> = {}, settings: Partial<HubSettings> = {}): HubWorld {
  const { log, hub } = openHub({ limits, settings });
  const source = new CountingSource();
  const sink = log.sinkFor(source.name);
  const push = (body: DocumentChange, channel = KEY): SourceEvent => {
    const event: SourceEvent = { channel, position: source.next(), committedAtMs: undefined, body };
    void sink.append([event]);
    return event;
  };
  const connectTo = async (
    filter: EventFilter | undefined,
    cursor?: string,
    format = LINES,
  ): Promise<LinePeer> => {
    const peer = new LinePeer();
    const channel = await hub.open(source, KEY, cursor);
    peer.subscription = hub.subscribe(channel, { target: peer, format, filter, cursor });
    return peer;
  };
  return {
    log,
    hub,
    source,
    sink,
    push,
    append: (documentId) => push({ type: "insert", documentId, document: "{}" }),
    connect: (cursor, filterId) => connectTo(filterId === undefined ? undefined : idsFrom(filterId), cursor),
    connectTo,
  };
}

function idsFrom(prefix: string): EventFilter {
  return {
    id: prefix,
    sees: ({ body }) => (!("topic" in body) && body.documentId.startsWith(prefix) ? "as_is" : "nothing"),
  };
}

/** The next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Lets the dispatcher finish. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await nextTurn();
}
