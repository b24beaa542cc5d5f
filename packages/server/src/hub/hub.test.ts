import { formatCursor, sequencePosition, type DocumentChange, type Position } from "@paperdb/protocol";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { MemoryLog, type HistoryLimits } from "../log/memory/memory-log.ts";
import type { ChangeSource, ChannelKey, SourceEvent } from "../source/change-source.ts";
import type {
  DeliveryTarget,
  EndReason,
  EventFilter,
  FrameFormat,
  FrameWriter,
  Greeting,
} from "./delivery.ts";
import { documentFilter } from "./document-filter.ts";
import { Hub, type HubSettings } from "./hub.ts";
import { Round } from "./round.ts";
import type { Subscription } from "./subscription.ts";
import { topicFilter } from "./topic-filter.ts";

const KEY: ChannelKey = { tenant: "a", collection: "todos" };
const SETTINGS: HubSettings = {
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

/** One line per frame, so that tests can read what was written. */
const LINES: FrameFormat = {
  namesChannel: false,
  event: ({ body }, cursor) =>
    Buffer.from(`event ${"topic" in body ? body.topic : body.documentId} ${cursor}\n`),
  heartbeat: (cursor) => Buffer.from(`heartbeat ${cursor}\n`),
};

class CountingSource implements ChangeSource {
  readonly name = "counting";
  epoch = "e1";
  sequence = 0;
  readonly unwatched: ChannelKey[] = [];

  next(): string {
    this.sequence += 1;
    return sequencePosition(this.sequence);
  }
  state(): { live: true } {
    return { live: true };
  }
  collections(): [] {
    return [];
  }
  whyNotCollection(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  watch(): Promise<string> {
    return Promise.resolve(sequencePosition(this.sequence));
  }
  unwatch(key: ChannelKey): void {
    this.unwatched.push(key);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A peer that reads, or does not. */
class Peer implements DeliveryTarget, FrameWriter {
  readonly lines: string[] = [];
  readonly writes: Buffer[] = [];
  readonly greetings: Greeting[] = [];
  reads = true;
  ended: EndReason | undefined;
  subscription: Subscription | undefined;
  /** What it did not read fills its socket. */
  #isFull = false;

  /** Something else on its connection was not read. */
  fill(): void {
    this.reads = false;
    this.#isFull = true;
  }
  get writer(): this {
    return this;
  }
  get keepsUp(): boolean {
    return this.reads || !this.#isFull;
  }
  greet(greeting: Greeting): boolean {
    this.greetings.push(greeting);
    const { cursor, resumed, resetReason } = greeting;
    const reset = resetReason === undefined ? "" : `reset ${resetReason}\n`;
    return this.write(Buffer.from(`${reset}ready ${cursor} ${resumed ? "resumed" : "new"}\n`));
  }
  write(frames: Buffer): boolean {
    this.writes.push(frames);
    this.lines.push(...frames.toString().trimEnd().split("\n"));
    this.#isFull = !this.reads;
    return this.reads;
  }
  end(reason: EndReason): void {
    this.ended = reason;
  }
  get documents(): string[] {
    return this.lines.filter((line) => line.startsWith("event ")).map((line) => line.split(" ")[1] ?? "");
  }
  get lastCursor(): string {
    const words = this.lines.findLast((line) => !line.startsWith("reset "))?.split(" ") ?? [];
    return (words[0] === "event" ? words[2] : words[1]) ?? "";
  }
}

const observer = { delivered() {}, offered() {}, reset() {}, slowConsumer() {} };
const closers: (() => void)[] = [];

function setUp(limits: Partial<HistoryLimits> = {}, settings: Partial<HubSettings> = {}) {
  const log = new MemoryLog({ ...LIMITS, ...limits });
  const hub = new Hub(log, { ...SETTINGS, ...settings }, observer);
  closers.push(() => {
    hub.close();
    log.stop();
  });
  const source = new CountingSource();
  const sink = log.sinkFor(source.name);
  const push = (body: DocumentChange, channel = KEY): SourceEvent => {
    const event: SourceEvent = { channel, position: source.next(), committedAtMs: undefined, body };
    void sink.append([event]);
    return event;
  };
  const append = (documentId: string): SourceEvent => push({ type: "insert", documentId, document: "{}" });
  const connect = (cursor?: string, filterId?: string): Promise<Peer> =>
    connectTo(
      filterId === undefined
        ? undefined
        : {
            id: filterId,
            sees: ({ body }) =>
              !("topic" in body) && body.documentId.startsWith(filterId) ? "as_is" : "nothing",
          },
      cursor,
    );
  const connectTo = async (
    filter: EventFilter | undefined,
    cursor?: string,
    format = LINES,
  ): Promise<Peer> => {
    const peer = new Peer();
    const channel = await hub.open(source, KEY, cursor);
    peer.subscription = hub.subscribe(channel, { target: peer, format, filter, cursor });
    return peer;
  };
  return { log, hub, source, sink, append, push, connect, connectTo };
}

/** A database with a log of its own, which outlives the server. Digests are the last letter of a position. */
class RereadingSource extends CountingSource {
  readonly events: SourceEvent[];
  replays = 0;
  /** Before a replay ends. */
  meanwhile: (() => void) | undefined;

  constructor(events: SourceEvent[]) {
    super();
    this.events = events;
    this.sequence = events.length;
  }

  override next(): string {
    return `${super.next()}d`;
  }
  override watch(): Promise<string> {
    return Promise.resolve(this.events.at(-1)?.position ?? "0");
  }
  async replay(_key: ChannelKey, since: string, until: string): Promise<readonly SourceEvent[] | undefined> {
    this.replays += 1;
    await settle();
    this.meanwhile?.();
    if (this.events.some(({ position }) => this.contradicts(position, since))) return undefined;
    return this.events.filter(({ position }) => position > since && position <= until);
  }
  contradicts(one: string, other: string): boolean {
    return one !== other && one.slice(0, -1) === other.slice(0, -1);
  }
}

/** A server that starts on a database with a history. */
function restart(events: SourceEvent[], limits: Partial<HistoryLimits> = {}) {
  const log = new MemoryLog({ ...LIMITS, ...limits });
  const hub = new Hub(log, SETTINGS, observer);
  closers.push(() => {
    hub.close();
    log.stop();
  });
  const source = new RereadingSource(events);
  const sink = log.sinkFor(source.name);
  const append = (): void => {
    const position = source.next();
    const documentId = String(source.sequence);
    const body = { type: "insert" as const, documentId, document: "{}" };
    const event = { channel: KEY, position, committedAtMs: undefined, body };
    source.events.push(event);
    void sink.append([event]);
  };
  const connect = async (cursor?: string): Promise<Peer> => {
    const peer = new Peer();
    const channel = await hub.open(source, KEY, cursor);
    peer.subscription = hub.subscribe(channel, { target: peer, format: LINES, filter: undefined, cursor });
    return peer;
  };
  return { hub, log, source, sink, append, connect };
}

/** Lets the dispatcher finish. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

describe("Hub", () => {
  it("greets, then delivers what is appended, in order", async () => {
    const { append, connect } = setUp();
    const peer = await connect();
    append("1");
    append("2");
    await settle();
    expect(peer.lines[0]).toMatch(/^ready \S+ new$/);
    expect(peer.documents).toEqual(["1", "2"]);
  });

  it("packs a slice once for all that stand at the same place", async () => {
    const { append, connectTo } = setUp({}, { maxSliceBytes: 1000 });
    const slices: string[] = [];
    const packing: FrameFormat = {
      ...LINES,
      pack: (slice) => {
        slices.push(slice.toString());
        return Buffer.from(slice.toString().toUpperCase());
      },
    };
    const [one, other] = [
      await connectTo(undefined, undefined, packing),
      await connectTo(undefined, undefined, packing),
    ];
    const plain = await connectTo(undefined);
    await settle();
    append("a");
    append("b");
    await settle();
    expect(slices).toEqual([plain.writes.at(-1)?.toString()]);
    expect(one.writes.at(-1)?.toString()).toBe(slices[0]?.toUpperCase());
    expect(other.writes.at(-1)).toBe(one.writes.at(-1));
  });

  it("writes the same Buffer to all that stand at the same place", async () => {
    const { append, connect } = setUp();
    const peers = [await connect(), await connect(), await connect()];
    append("1");
    append("2");
    await settle();
    const [first, ...others] = peers.map((peer) => peer.writes.at(-1));
    for (const other of others) expect(other).toBe(first);
  });

  it("resumes from a cursor with exactly what was missed", async () => {
    const { append, connect } = setUp();
    const stays = await connect();
    const before = await connect();
    append("1");
    await settle();
    const cursor = before.lastCursor;
    append("2");
    append("3");
    const back = await connect(cursor);
    append("4");
    await settle();
    expect(back.lines[0]).toBe(`ready ${cursor} resumed`);
    expect(back.documents).toEqual(["2", "3", "4"]);
    expect(stays.documents).toEqual(["1", "2", "3", "4"]);
  });

  it.each([
    ["garbage", "%%%"],
    ["another source", "b3RoZXI.e1.00000000001"],
    ["another epoch", "Y291bnRpbmc.e0.00000000001"],
    ["the future", "Y291bnRpbmc.e1.00000000zzz"],
    ["before the channel was watched", "Y291bnRpbmc.e1.00000000000"],
  ])("resets a cursor of %s", async (_name, cursor) => {
    const { append, connect, source } = setUp();
    source.sequence = 5;
    const peer = await connect(cursor);
    append("1");
    await settle();
    expect(peer.lines[0]).toMatch(/^reset /);
    expect(peer.lines[1]).toMatch(/^ready \S+ new$/);
    expect(peer.documents).toEqual(["1"]);
  });

  it("leaves a peer that does not read alone, and catches it up when it does", async () => {
    const { append, connect, hub } = setUp();
    const slow = await connect();
    const other = await connect();
    slow.reads = false;
    append("1");
    await settle();
    for (let n = 2; n <= 20; n += 1) append(String(n));
    await settle();
    expect(slow.documents).toEqual(["1"]);
    expect(other.documents).toHaveLength(20);
    slow.reads = true;
    if (slow.subscription !== undefined) hub.resume(slow.subscription);
    await settle();
    expect(slow.documents).toEqual(other.documents);
  });

  it("ends a peer whose place is forgotten", async () => {
    const { append, connect, hub } = setUp({ maxEventsPerChannel: 3 });
    const slow = await connect();
    slow.reads = false;
    append("1");
    await settle();
    for (let n = 2; n <= 9; n += 1) append(String(n));
    slow.reads = true;
    if (slow.subscription !== undefined) hub.resume(slow.subscription);
    await settle();
    expect(slow.documents).toEqual(["1"]);
    expect(slow.ended).toEqual({ kind: "slow_consumer" });
    expect(hub.subscriptionCount).toBe(0);
  });

  it("resets live subscribers once when changes were lost, also one that does not read", async () => {
    const { append, connect, hub, sink, source } = setUp();
    const live = await connect();
    const slow = await connect();
    slow.reads = false;
    append("1");
    await settle();
    sink.lost("all", source.next(), "truncated");
    append("2");
    await settle();
    slow.reads = true;
    if (slow.subscription !== undefined) hub.resume(slow.subscription);
    await settle();
    expect(live.lines.map((line) => line.split(" ")[0])).toEqual([
      "ready",
      "event",
      "reset",
      "ready",
      "event",
    ]);
    append("3");
    await settle();
    expect(live.documents).toEqual(["1", "2", "3"]);
    expect(slow.documents).toEqual(["1", "2", "3"]);
    expect(slow.lines.filter((line) => line === "reset truncated")).toHaveLength(1);
  });

  it("gives cursors of a source's new epoch to all, once changes of the old one were lost", async () => {
    const { append, connect, sink, source } = setUp();
    const peer = await connect();
    append("1");
    await settle();
    source.epoch = "e2";
    sink.lost("all", source.next(), "new slot");
    append("2");
    await settle();
    expect(peer.lastCursor).toContain(".e2.");
    const back = await connect(peer.lastCursor);
    expect(back.lines[0]).toBe(`ready ${peer.lastCursor} resumed`);
  });

  it("does not resume across a loss", async () => {
    const { append, connect, sink, source } = setUp();
    const peer = await connect();
    append("1");
    await settle();
    sink.lost([KEY], source.next(), "lost");
    const back = await connect(peer.lastCursor);
    expect(back.lines[0]).toMatch(/^reset/);
  });

  it("ends the subscriptions of a dropped collection", async () => {
    const { connect, hub, sink } = setUp();
    const peer = await connect();
    sink.dropped("todos", "dropped");
    expect(peer.ended).toEqual({ kind: "dropped", detail: "dropped" });
    expect(hub.channelCount).toBe(0);
  });

  it("ends at once what is subscribed to a collection that was dropped since it was opened", async () => {
    const { connect, hub, sink, source } = setUp();
    const channel = await hub.open(source, KEY);
    sink.dropped("todos", "collection_dropped");
    const again = await connect();
    const peer = new Peer();
    hub.subscribe(channel, { target: peer, format: LINES, filter: undefined, cursor: undefined });
    expect([peer.ended, peer.lines]).toEqual([{ kind: "dropped", detail: "collection_dropped" }, []]);
    expect([again.ended, hub.subscriptionCount]).toEqual([undefined, 1]);
  });

  it("keeps a filter's subscribers apart, and their cursors moving", async () => {
    const { append, connect } = setUp();
    const some = await connect(undefined, "x");
    append("x1");
    append("y1");
    append("x2");
    await settle();
    expect(some.documents).toEqual(["x1", "x2"]);
    append("y2");
    await settle();
    const back = await connect(some.lastCursor, "x");
    append("x3");
    await settle();
    expect(back.documents).toEqual(["x3"]);
  });

  it("names a channel the same for all, a filter of it apart, and another channel never so", async () => {
    const { append, hub, source } = setUp({}, { maxLingeringChannels: 0, lingerMs: 0 });
    const named: FrameFormat = {
      namesChannel: true,
      event: ({ position }, _cursor, channel) => Buffer.from(`event ${channel} ${position}\n`),
    };
    const subscribe = async (prefix?: string): Promise<Peer> => {
      const peer = new Peer();
      const filter = prefix === undefined ? undefined : { id: prefix, sees: () => "as_is" as const };
      const channel = await hub.open(source, KEY);
      const request = { target: peer, format: named, filter, cursor: undefined };
      peer.subscription = hub.subscribe(channel, request);
      return peer;
    };
    const peers = [await subscribe(), await subscribe(), await subscribe("1"), await subscribe("1")];
    append("1");
    await settle();
    expect(peers.map(({ greetings, documents }) => [greetings[0]?.channel, ...documents])).toEqual([
      ["c1", "c1"],
      ["c1", "c1"],
      ["c1.1", "c1.1"],
      ["c1.1", "c1.1"],
    ]);
    expect(peers[0]?.writes.at(-1)).toBe(peers[1]?.writes.at(-1));
    expect(peers[2]?.writes.at(-1)).toBe(peers[3]?.writes.at(-1));
    for (const { subscription } of peers.slice(2))
      if (subscription !== undefined) hub.unsubscribe(subscription);
    expect((await subscribe("1")).greetings[0]?.channel).toBe("c1.2");
  });

  it("leaves a subscription at its place while its peer is full by another one", async () => {
    const { append, connect, hub } = setUp();
    const peer = await connect();
    peer.fill();
    append("1");
    append("2");
    await settle();
    expect(peer.documents).toEqual([]);
    peer.reads = true;
    if (peer.subscription !== undefined) hub.resume(peer.subscription);
    await settle();
    expect(peer.documents).toEqual(["1", "2"]);
  });

  it("keeps few slices for those at different places", async () => {
    const { append, connect, log } = setUp({}, { maxSliceBytes: 100_000 });
    const peer = await connect();
    await connect();
    for (let n = 1; n <= 200; n += 1) append(String(n));
    await settle();
    const view = peer.subscription?.view;
    if (view === undefined) throw new Error("not subscribed");
    const round = new Round(SETTINGS.maxSharedBytes);
    const first = view.sliceAt(0, round);
    expect(view.sliceAt(0, round)).toBe(first);
    for (let place = 1; place < 200; place += 1) view.sliceAt(place, round);
    expect(view.sliceAt(0, round)).not.toBe(first);
    const again = view.sliceAt(0, round);
    round.end();
    expect(view.sliceAt(0, round)).not.toBe(again);
    expect(log.stats().events).toBe(200);
  });

  it("keeps no more for others than the bound, and delivers all the same", async () => {
    const { append, connect, hub } = setUp({}, { maxSliceBytes: 1000, maxSharedBytes: 1 });
    const peers = [await connect(), await connect()];
    for (const peer of peers) peer.reads = false;
    for (let n = 1; n <= 20; n += 1) append(String(n));
    await settle();
    for (const peer of peers) {
      peer.reads = true;
      if (peer.subscription !== undefined) hub.resume(peer.subscription);
    }
    await settle();
    const [one, other] = peers;
    expect(one?.documents).toEqual(Array.from({ length: 20 }, (_, index) => String(index + 1)));
    expect(other?.documents).toEqual(one?.documents);
    const [ofOne, ofOther] = peers.map(({ writes }) => writes.at(-1));
    expect(ofOther?.equals(ofOne ?? Buffer.alloc(0))).toBe(true);
    expect(ofOther).not.toBe(ofOne);
  });

  it("stops watching the longest idle channels beyond the bound", async () => {
    const { hub, source } = setUp({}, { maxLingeringChannels: 1 });
    for (const tenant of ["a", "b", "c"])
      hub.release(await hub.open(source, { tenant, collection: "todos" }));
    await expect.poll(() => source.unwatched.map(({ tenant }) => tenant)).toEqual(["a", "b"]);
  });

  it("delivers every sequence in order, once, or resets (property)", async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 6 }) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("block" as const), peer: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("drain" as const), peer: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("reconnect" as const), peer: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("lost" as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { append, connect, hub, sink, source } = setUp({ maxEventsPerChannel: 12 });
        const peers = [await connect(), await connect(), await connect(), await connect()];
        let appended = 0;
        const seen: number[][] = peers.map(() => []);
        const follows: (number | undefined)[] = peers.map(() => undefined);
        const collect = (index: number, peer: Peer): void => {
          for (const line of peer.lines.splice(0)) {
            const [kind = "", value = "", how] = line.split(" ");
            if (kind === "reset" || (kind === "ready" && how === "new")) follows[index] = undefined;
            if (kind !== "event") continue;
            const number = Number(value);
            const previous = follows[index];
            if (previous !== undefined) expect(number).toBe(previous + 1);
            follows[index] = number;
            seen[index]?.push(number);
          }
        };
        for (const current of steps) {
          if (current.kind === "append") {
            for (let n = 0; n < current.count; n += 1) append(String((appended += 1)));
          } else if (current.kind === "lost") {
            sink.lost("all", source.next(), "lost");
          } else if (current.kind === "settle") {
            await settle();
          } else {
            const peer = peers[current.peer];
            if (peer?.subscription === undefined) continue;
            if (current.kind === "block") peer.reads = false;
            if (current.kind === "drain") {
              peer.reads = true;
              hub.resume(peer.subscription);
            }
            if (current.kind === "reconnect") {
              const cursor = peer.lastCursor === "" ? undefined : peer.lastCursor;
              hub.unsubscribe(peer.subscription);
              collect(current.peer, peer);
              peers[current.peer] = await connect(cursor);
            }
          }
        }
        for (const [index, peer] of peers.entries()) {
          peer.reads = true;
          if (peer.subscription !== undefined) hub.resume(peer.subscription);
          await settle();
          collect(index, peer);
          append(String((appended += 1)));
          await settle();
          collect(index, peer);
          if (peer.ended === undefined) expect(seen[index]?.at(-1)).toBe(appended);
        }
        hub.close();
      }),
      { numRuns: 60 },
    );
  });
});

/** Writes what a filter changes: the type and the document. */
const CHANGES: FrameFormat = {
  namesChannel: false,
  event: ({ body }, cursor) => {
    if ("topic" in body) throw new Error("no document");
    return Buffer.from(`event ${body.type}:${body.documentId}:${body.document} ${cursor}\n`);
  },
  heartbeat: (cursor) => Buffer.from(`heartbeat ${cursor}\n`),
};

/** Documents are `{"room":"…"}`. */
function roomOf(document: unknown): string {
  return (document as { room: string }).room;
}

/** The documents in these rooms; by default found by them. */
function inRooms(rooms: string, hasTerm = true): EventFilter {
  const keys = rooms.split("");
  return documentFilter({
    id: `${rooms}${hasTerm ? "" : " tried"}`,
    terms: hasTerm ? [{ path: ["room"], keys }] : [],
    matches: (document) => keys.includes(roomOf(document)),
  });
}

/** A document that is inserted into, moved to, or deleted from a room. */
function inserted(documentId: string, room: string): DocumentChange {
  return { type: "insert", documentId, document: `{"room":"${room}"}` };
}
function moved(documentId: string, from: string, to: string): DocumentChange {
  return { type: "update", documentId, document: `{"room":"${to}"}`, prior: `{"room":"${from}"}` };
}

describe("a channel", () => {
  it("is released no more often than it was opened", async () => {
    const { hub, source } = setUp();
    const channel = await hub.open(source, KEY);
    hub.release(channel);
    expect(() => hub.release(channel)).toThrow("released more often");
    expect(hub.channelCount).toBe(1);
  });
});

describe("filters that cannot be found by an equality", () => {
  it("are refused when all of a channel would make its changes too dear, unless they are there already", async () => {
    const { hub, source, connectTo } = setUp({}, { maxTriedComparisons: 3 });
    const filterOf = (id: string, comparisons: number): EventFilter => ({
      id,
      comparisons,
      sees: () => "as_is",
    });
    const channel = await hub.open(source, KEY);
    hub.admit(channel, filterOf("one", 2));
    const peer = await connectTo(filterOf("one", 2));
    hub.admit(channel, undefined);
    hub.admit(channel, filterOf("other", 1));
    expect(() => {
      hub.admit(channel, filterOf("other", 2));
    }).toThrow('"todos" would take more than 3 comparisons');
    hub.admit(channel, { ...filterOf("equal", 2), term: { path: ["room"], keys: ["1"] } });
    await connectTo(filterOf("other", 1));
    hub.admit(channel, filterOf("one", 2));
    hub.admit(channel, filterOf("other", 1));
    if (peer.subscription !== undefined) hub.unsubscribe(peer.subscription);
    hub.admit(channel, filterOf("new", 2));
    expect(() => {
      hub.admit(channel, filterOf("new", 3));
    }).toThrow("filters.maxTriedComparisons");
  });
});

describe("clients of a quiet channel", () => {
  it("stand where their source stands, and go on from there, in this server", async () => {
    const { connect, append, source } = setUp({}, { heartbeatIntervalMs: 30 });
    const { name, epoch } = source;
    const cursorAt = (sequence: number): string =>
      formatCursor({ source: name, epoch, position: sequencePosition(sequence) });
    const knowing = Object.assign(source, { position: () => sequencePosition(source.sequence) });
    const peer = await connect();
    append("1");
    // Of other channels.
    knowing.sequence = 70;
    await expect.poll(() => peer.lines.at(-1)).toBe(`heartbeat ${cursorAt(70)}`);
    knowing.sequence = 80;
    const back = await connect(cursorAt(75));
    expect(back.lines).toEqual([`ready ${cursorAt(75)} resumed`]);
    append("81");
    const late = await connect(cursorAt(70));
    const future = await connect(cursorAt(90));
    await settle();
    expect(back.documents).toEqual(["81"]);
    expect(late.documents).toEqual(["81"]);
    expect(future.lines.slice(0, 2)).toEqual(["reset cursor_not_usable", `ready ${cursorAt(81)} new`]);
    expect((await connect(cursorAt(0))).lines[0]).toBe(`ready ${cursorAt(0)} resumed`);
  });

  it("share the Buffer of a heartbeat", async () => {
    const { connect } = setUp({}, { heartbeatIntervalMs: 30 });
    // More than there are moments at which somebody is told.
    const peers = await Promise.all(Array.from({ length: 60 }, () => connect()));
    const beats = (): (Uint8Array | undefined)[] =>
      peers.map(({ writes }) => writes.find((frame) => frame.toString().startsWith("heartbeat ")));
    await expect.poll(beats).not.toContain(undefined);
    expect(new Set(beats()).size).toBeLessThan(peers.length / 2);
  });

  it("are not told of a place that they have not come to, when the source hands over events only as it is asked", async () => {
    const { connect, append, source } = setUp({}, { heartbeatIntervalMs: 30 });
    let asked = 0;
    const position = (): string => {
      asked += 1;
      if (asked === 2 || asked === 5) append(String(asked));
      return sequencePosition(source.sequence);
    };
    Object.assign(source, { position });
    const peer = await connect();
    await expect.poll(() => asked).toBeGreaterThan(8);
    expect(peer.documents).toEqual(["2", "5"]);
    const cursors = peer.lines.filter((line) => !line.startsWith("ready ")).map((line) => line.split(" "));
    const told = cursors.map(([kind, first = "", second]) => [kind, second ?? first]);
    for (const [index, [kind, cursor]] of told.entries()) {
      if (kind !== "heartbeat" || index === 0) continue;
      expect(cursor).toBe(told[index - 1]?.[1]);
    }
  });
});

describe("filtered subscriptions", () => {
  it("see documents that move in as inserts and those that move out as deletes", async () => {
    const { push, connectTo } = setUp();
    const peers = await Promise.all(
      [undefined, inRooms("a"), inRooms("ab"), inRooms("b", false), inRooms("c")].map((filter) =>
        connectTo(filter, undefined, CHANGES),
      ),
    );
    push(inserted("1", "a"));
    push(moved("1", "a", "b"));
    push(moved("1", "b", "b"));
    push({ type: "delete", documentId: "1", document: '{"room":"b"}' });
    await settle();
    expect(peers.map(({ documents }) => documents)).toEqual([
      ['insert:1:{"room":"a"}', 'update:1:{"room":"b"}', 'update:1:{"room":"b"}', 'delete:1:{"room":"b"}'],
      ['insert:1:{"room":"a"}', 'delete:1:{"room":"a"}'],
      ['insert:1:{"room":"a"}', 'update:1:{"room":"b"}', 'update:1:{"room":"b"}', 'delete:1:{"room":"b"}'],
      ['insert:1:{"room":"b"}', 'update:1:{"room":"b"}', 'delete:1:{"room":"b"}'],
      [],
    ]);
  });

  it("are not asked of events that their terms rule out, and once of the others", async () => {
    const { push, connectTo } = setUp({}, { maxSliceBytes: 1000 });
    const asked: string[] = [];
    const spy = (filter: EventFilter): EventFilter => ({
      ...filter,
      sees: (event, documents) => {
        asked.push(`${filter.id} ${event.position.at(-1)}`);
        return filter.sees(event, documents);
      },
    });
    await connectTo(spy(inRooms("a")));
    await connectTo(spy(inRooms("ab")));
    await connectTo(spy(inRooms("c", false)));
    await connectTo(spy(inRooms("a")));
    push(inserted("1", "x"));
    push(moved("1", "x", "b"));
    push(moved("1", "b", "a"));
    await settle();
    expect(asked.toSorted()).toEqual(["a 3", "ab 2", "ab 3", "c tried 1", "c tried 2", "c tried 3"]);
    const cursor = "Y291bnRpbmc.e1.00000000000";
    asked.length = 0;
    const back = [await connectTo(spy(inRooms("b")), cursor), await connectTo(spy(inRooms("x")), cursor)];
    await settle();
    expect(asked.toSorted()).toEqual(["b 2", "b 3", "x 1", "x 2"]);
    expect(back.map(({ documents }) => documents)).toEqual([
      ["1", "1"],
      ["1", "1"],
    ]);
  });

  it("share frames of one format, each variant of an event encoded once", async () => {
    const { push, connectTo } = setUp();
    let encoded = 0;
    const counting: FrameFormat = {
      namesChannel: false,
      event: (event, cursor, channel) => {
        encoded += 1;
        return CHANGES.event(event, cursor, channel);
      },
    };
    const filters = [
      undefined,
      inRooms("a"),
      inRooms("a", false),
      inRooms("b"),
      inRooms("bc"),
      inRooms("ab"),
    ];
    const peers = await Promise.all(filters.map((filter) => connectTo(filter, undefined, counting)));
    push(moved("1", "a", "b"));
    await settle();
    expect(encoded).toBe(3);
    expect(new Set(peers.map(({ writes }) => writes.at(-1))).size).toBe(3);
  });

  it("stay at the head for nothing while the history moves past what they saw last", async () => {
    const { push, connectTo, hub } = setUp({ maxEventsPerChannel: 4 });
    const peer = await connectTo(inRooms("a"));
    const stalled = await connectTo(inRooms("a"));
    push(inserted("1", "a"));
    await settle();
    stalled.fill();
    for (let n = 2; n < 100; n += 1) {
      push(inserted(String(n), "b"));
      await settle();
    }
    push(inserted("100", "a"));
    push(inserted("101", "b"));
    await settle();
    stalled.reads = true;
    if (stalled.subscription !== undefined) hub.resume(stalled.subscription);
    await settle();
    expect(peer.documents).toEqual(["1", "100"]);
    expect(stalled.documents).toEqual(["1", "100"]);
    expect([peer.ended, stalled.ended]).toEqual([undefined, undefined]);
  });

  it("are ended when an event that they see is forgotten before they take it", async () => {
    const { push, connectTo, hub } = setUp({ maxEventsPerChannel: 4 });
    const peer = await connectTo(inRooms("a"));
    peer.reads = false;
    push(inserted("1", "a"));
    await settle();
    push(inserted("2", "a"));
    for (let n = 3; n < 10; n += 1) push(inserted(String(n), "b"));
    await settle();
    peer.reads = true;
    if (peer.subscription !== undefined) hub.resume(peer.subscription);
    await settle();
    expect(peer.documents).toEqual(["1"]);
    expect(peer.ended).toEqual({ kind: "slow_consumer" });
  });

  it("are held to the bound of what they have not read by what they see", async () => {
    const { push, connectTo, hub } = setUp({}, { maxBufferedBytes: 2000 });
    const few = await connectTo(inRooms("a"));
    const many = await connectTo(inRooms("b"));
    few.reads = false;
    many.reads = false;
    push(moved("1", "a", "b"));
    await settle();
    push(inserted("2", "a"));
    for (let n = 3; n < 30; n += 1) push(inserted(String(n), "b"));
    await expect.poll(() => many.ended).toEqual({ kind: "slow_consumer" });
    expect(few.ended).toBeUndefined();
    few.reads = true;
    if (few.subscription !== undefined) hub.resume(few.subscription);
    await settle();
    expect(few.documents).toEqual(["1", "2"]);
  });

  it("get cursors of the head in their heartbeats", async () => {
    const { push, connectTo, source } = setUp({ maxEventsPerChannel: 2 }, { heartbeatIntervalMs: 30 });
    const peer = await connectTo(inRooms("a"));
    for (let n = 0; n < 10; n += 1) push(inserted(String(n), "b"));
    const { name, epoch } = source;
    const head = formatCursor({ source: name, epoch, position: sequencePosition(10) });
    await expect.poll(() => peer.lines.at(-1)).toBe(`heartbeat ${head}`);
    push(inserted("10", "a"));
    const back = await connectTo(inRooms("a"), head);
    await settle();
    expect(back.lines[0]).toBe(`ready ${head} resumed`);
    expect(back.documents).toEqual(["10"]);
  });

  it("are reset once when changes were lost, those that see nothing as well", async () => {
    const { push, connectTo, sink, source } = setUp();
    const peers = [await connectTo(inRooms("a")), await connectTo(inRooms("b"))];
    push(inserted("1", "a"));
    await settle();
    sink.lost("all", source.next(), "truncated");
    push(inserted("2", "a"));
    await settle();
    push(inserted("3", "a"));
    await settle();
    const kinds = peers.map(({ lines }) => lines.map((line) => line.split(" ")[0]));
    expect(kinds).toEqual([
      ["ready", "event", "reset", "ready", "event", "event"],
      ["ready", "reset", "ready"],
    ]);
  });

  it.each([true, false])(
    "resume over a long history, with what they missed (known by term: %s)",
    async (hasTerm) => {
      const { push, connectTo, hub } = setUp({}, { maxSliceBytes: 100 });
      const first = await connectTo(inRooms("ab", hasTerm));
      const early = first.greetings[0]?.cursor;
      first.reads = false;
      push(inserted("0", "a"));
      await settle();
      const expected = ["0"];
      for (let n = 1; n < 900; n += 1) {
        const isSeen = n > 450 ? n % 2 === 0 : n % 100 === 0;
        if (isSeen) expected.push(String(n));
        push(inserted(String(n), isSeen ? ("ab"[n % 2] ?? "") : "c"));
        if (n % 50 === 0) await settle();
      }
      first.reads = true;
      if (first.subscription !== undefined) hub.resume(first.subscription);
      const back = await connectTo(inRooms("ab", hasTerm), early);
      const other = await connectTo(inRooms("a", hasTerm), early);
      push(inserted("900", "a"));
      expected.push("900");
      await expect.poll(() => back.documents.at(-1)).toBe("900");
      await expect.poll(() => other.documents.at(-1)).toBe("900");
      await expect.poll(() => first.documents.at(-1)).toBe("900");
      expect(first.documents).toEqual(expected);
      expect(back.documents).toEqual(expected);
      expect(other.documents).toEqual(expected.filter((id) => Number(id) % 2 === 0));
    },
  );

  it("find topics by name and by pattern", async () => {
    const { sink, source, connectTo } = setUp();
    const peers = [await connectTo(topicFilter("order.paid")), await connectTo(topicFilter("order.*"))];
    for (const topic of ["order.paid", "order.sent", "user.paid"]) {
      const body = { topic, data: "1" };
      void sink.append([{ channel: KEY, position: source.next(), committedAtMs: undefined, body }]);
    }
    await settle();
    expect(peers.map(({ documents }) => documents)).toEqual([["order.paid"], ["order.paid", "order.sent"]]);
  });

  it("see exactly their part of the changes, in order, once, from wherever they begin (property)", async () => {
    const ROOMS = ["a", "b", "c", "d"];
    const FILTER_ROOMS = [undefined, "a", "a", "bc", "cd", "x", "abcd"];
    /** One is tried on every event, the others are found. */
    const FILTERS = FILTER_ROOMS.map((rooms) =>
      rooms === undefined ? undefined : inRooms(rooms, rooms !== "cd"),
    );
    const peerIndex = fc.nat(FILTERS.length - 1);
    const change = fc.record({
      document: fc.nat(5),
      room: fc.constantFrom(undefined, ...ROOMS),
    });
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant("change" as const),
          changes: fc.array(change, { minLength: 1, maxLength: 5 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("block" as const), peer: peerIndex }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("fill" as const), peer: peerIndex }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("drain" as const), peer: peerIndex }) },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("reconnect" as const),
          peer: peerIndex,
          /** How many events before its own place; 0: exactly there. */
          back: fc.nat(6),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("lost" as const) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
    );
    let resumed = 0;
    let ended = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { push, connectTo, hub, log, sink, source } = setUp({ maxEventsPerChannel: 12 });
        /** All events ever, and of each peer what its client has: a place in them. */
        const events: SourceEvent[] = [];
        const rooms = new Map<number, string>();
        const cursorAt = (position: Position): string =>
          formatCursor({ source: source.name, epoch: source.epoch, position });
        const peers = await Promise.all(FILTERS.map((filter) => connectTo(filter, undefined, CHANGES)));
        const at: Position[] = FILTERS.map(() => "");
        /** Those that have not gone through what they resumed from yet. */
        const catchingUp = new Set<number>();
        const history = peers[0]?.subscription?.channel.history;
        if (history === undefined) throw new Error("not subscribed");

        const seenBy = (index: number, { body, position }: SourceEvent): string | undefined => {
          if ("topic" in body) return undefined;
          const filter = FILTERS[index];
          const { type, documentId, document, prior } = body;
          const line = (as: string, shown: string): string =>
            `${as}:${documentId}:${shown} ${cursorAt(position)}`;
          if (filter === undefined) return line(type, document);
          const allows = (text: string): boolean =>
            FILTER_ROOMS[index]?.includes(roomOf(JSON.parse(text))) ?? true;
          const before = type === "delete" ? allows(document) : prior !== undefined && allows(prior);
          const after = type !== "delete" && allows(document);
          if (before && after) return line("update", document);
          if (after) return line("insert", document);
          return before ? line("delete", prior ?? document) : undefined;
        };
        const nextFor = (index: number): { line: string; position: Position } | undefined => {
          for (const event of events) {
            if (event.position <= (at[index] ?? "")) continue;
            const line = seenBy(index, event);
            if (line !== undefined) return { line, position: event.position };
          }
          return undefined;
        };
        const collect = (index: number): void => {
          for (const line of peers[index]?.lines.splice(0) ?? []) {
            const [kind, ...rest] = line.split(" ");
            if (kind === "ready") at[index] = rest[0]?.split(".")[2] ?? "";
            if (kind !== "event") continue;
            const next = nextFor(index);
            expect(rest.join(" ")).toBe(next?.line);
            at[index] = next?.position ?? "";
          }
          const peer = peers[index];
          if (peer?.ended === undefined) return;
          // Only who has missed something is ended, or who had not come to know what there was.
          ended += 1;
          const next = catchingUp.has(index) ? at[index] : nextFor(index)?.position;
          expect(next !== undefined && next <= (history.completeSince ?? "")).toBe(true);
        };
        const reconnect = async (index: number, back: number): Promise<void> => {
          const { subscription } = peers[index] ?? {};
          if (subscription !== undefined) hub.unsubscribe(subscription);
          collect(index);
          const own = at[index] ?? "";
          const position =
            back === 0 ? own : (events.filter((event) => event.position <= own).at(-back)?.position ?? own);
          const isKept = history.indexAfter(position) !== undefined;
          const peer = await connectTo(FILTERS[index], cursorAt(position), CHANGES);
          peers[index] = peer;
          expect(peer.greetings[0]?.resumed).toBe(isKept);
          catchingUp.delete(index);
          if (isKept) {
            resumed += 1;
            catchingUp.add(index);
          }
        };

        for (const current of steps) {
          if (current.kind === "change") {
            for (const { document, room } of current.changes) {
              const from = rooms.get(document);
              const id = String(document);
              if (room === undefined && from === undefined) continue;
              if (room === undefined) {
                events.push(push({ type: "delete", documentId: id, document: `{"room":"${from}"}` }));
                rooms.delete(document);
              } else {
                events.push(push(from === undefined ? inserted(id, room) : moved(id, from, room)));
                rooms.set(document, room);
              }
            }
          } else if (current.kind === "lost") {
            sink.lost("all", source.next(), "lost");
          } else if (current.kind === "settle") {
            await settle();
            for (const index of catchingUp) {
              const peer = peers[index];
              if (peer !== undefined && peer.keepsUp && peer.ended === undefined) catchingUp.delete(index);
            }
          } else if (current.kind === "reconnect") {
            await reconnect(current.peer, current.back);
          } else {
            const peer = peers[current.peer];
            if (current.kind === "block" && peer !== undefined) peer.reads = false;
            if (current.kind === "fill") peer?.fill();
            if (current.kind === "drain" && peer?.subscription !== undefined) {
              peer.reads = true;
              hub.resume(peer.subscription);
            }
          }
        }
        for (const [index, peer] of peers.entries()) {
          peer.reads = true;
          if (peer.subscription !== undefined) hub.resume(peer.subscription);
          await settle();
          collect(index);
          if (peer.ended !== undefined) {
            await reconnect(index, 0);
            await settle();
            collect(index);
          }
          expect(nextFor(index)).toBeUndefined();
        }
        for (const { subscription } of peers) if (subscription !== undefined) hub.unsubscribe(subscription);
        expect(hub.subscriptionCount).toBe(0);
        hub.close();
        log.stop();
      }),
      { numRuns: 150 },
    );
    // The steps reach what they are there for.
    expect(resumed).toBeGreaterThan(0);
    expect(ended).toBeGreaterThan(0);
  });
});

describe("a client from before the history, of a source with a log of its own", () => {
  /** Three events before the restart, and the cursors of clients that have seen 0 to 3 of them. */
  async function before(): Promise<{ events: SourceEvent[]; cursors: string[] }> {
    const events: SourceEvent[] = [];
    const { append, connect } = restart(events);
    const peer = await connect();
    const cursors = [peer.lastCursor];
    for (let n = 0; n < 3; n += 1) {
      append();
      await settle();
      cursors.push(peer.lastCursor);
    }
    return { events, cursors };
  }

  it("resumes with exactly what it missed", async () => {
    const { events, cursors } = await before();
    const { append, connect } = restart(events);
    const fresh = await connect();
    append();
    for (const [seen, cursor] of cursors.entries()) {
      const back = await connect(cursor);
      await settle();
      expect(back.lines[0]).toBe(`ready ${cursor} resumed`);
      expect(back.documents).toEqual(["1", "2", "3", "4"].slice(seen));
    }
    append();
    await settle();
    expect(fresh.documents).toEqual(["4", "5"]);
  });

  it("shares what was read for another one", async () => {
    const { events, cursors } = await before();
    const { connect, source } = restart(events);
    const peers = await Promise.all([1, 0, 2, 1].map((seen) => connect(cursors[seen])));
    await settle();
    expect(peers.map((peer) => peer.documents.length)).toEqual([2, 3, 1, 2]);
    expect(source.replays).toBe(2);
  });

  it.each([
    ["the event at its place is another one", (cursor: string) => cursor.replace(/d$/, "e")],
    ["it is of another epoch", (cursor: string) => cursor.replace(".e1.", ".e0.")],
    ["it is of the future", (cursor: string) => cursor.replace(/\.[^.]*$/, ".zzz")],
  ])("is reset when %s", async (_name, change) => {
    const { events, cursors } = await before();
    const { append, connect } = restart(events);
    const back = await connect(change(cursors[1] ?? ""));
    append();
    await settle();
    expect(back.lines[0]).toBe("reset cursor_not_usable");
    expect(back.documents).toEqual(["4"]);
  });

  it("is reset by a contradiction within the history, too", async () => {
    const { append, connect } = restart([]);
    const peer = await connect();
    append();
    append();
    await settle();
    const back = await connect(peer.lastCursor.replace(/d$/, "e"));
    const behind = await connect(peer.lastCursor.replace(/d$/, "c"));
    expect([back.lines[0], behind.lines[0]]).toEqual(Array(2).fill("reset cursor_not_usable"));
  });

  it("is reset when what it missed does not fit the bounds", async () => {
    const { events, cursors } = await before();
    const { connect } = restart(events, { maxEventsPerChannel: 2 });
    expect((await connect(cursors[0])).lines[0]).toMatch(/^reset/);
    expect((await connect(cursors[1])).lines[0]).toMatch(/resumed$/);
  });

  it("is reset when changes are lost while they are read", async () => {
    const { events, cursors } = await before();
    const { connect, source, sink } = restart(events);
    await connect();
    source.meanwhile = () => {
      source.meanwhile = undefined;
      sink.lost([KEY], source.next(), "lost");
    };
    source.replay = async () => {
      await settle();
      source.meanwhile?.();
      return undefined;
    };
    expect((await connect(cursors[0])).lines[0]).toMatch(/^reset/);
  });

  it("reads again when the history has moved on meanwhile", async () => {
    const { events, cursors } = await before();
    const { append, connect, source } = restart(events, { maxEventsPerChannel: 4 });
    await connect();
    source.meanwhile = () => {
      source.meanwhile = undefined;
      for (let n = 0; n < 5; n += 1) append();
    };
    const back = await connect(cursors[2]);
    await settle();
    expect(source.replays).toBe(2);
    // One more than the history may keep: still an honest answer.
    expect(back.lines[0]).toMatch(/^reset/);
  });

  it("gets every event once and in order, or is reset, over restarts (property)", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ kind: fc.constant("reconnect" as const), peer: fc.nat(2) }),
      fc.record({ kind: fc.constant("restart" as const), bound: fc.integer({ min: 4, max: 30 }) }),
      fc.record({ kind: fc.constant("settle" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const events: SourceEvent[] = [];
        let server = restart(events);
        const clients = await Promise.all(
          [0, 1, 2].map(async () => ({ peer: await server.connect(), cursor: "", last: 0 })),
        );
        const read = (client: (typeof clients)[number]): void => {
          client.cursor = client.peer.lines.length > 0 ? client.peer.lastCursor : client.cursor;
          for (const line of client.peer.lines.splice(0)) {
            const [kind, value] = line.split(" ");
            if (kind === "reset") client.last = -1;
            if (kind !== "event") continue;
            if (client.last > 0) expect(Number(value)).toBe(client.last + 1);
            client.last = Number(value);
          }
        };
        const reconnect = async (client: (typeof clients)[number]): Promise<void> => {
          read(client);
          if (client.peer.subscription !== undefined) server.hub.unsubscribe(client.peer.subscription);
          client.peer = await server.connect(client.cursor);
        };
        for (const current of steps) {
          if (current.kind === "append") for (let n = 0; n < current.count; n += 1) server.append();
          else if (current.kind === "settle") await settle();
          else if (current.kind === "reconnect")
            await Promise.all(clients.slice(current.peer, current.peer + 1).map(reconnect));
          else {
            for (const client of clients) read(client);
            server.hub.close();
            server = restart(events, { maxEventsPerChannel: current.bound });
            await Promise.all(clients.map(reconnect));
          }
        }
        server.append();
        await settle();
        for (const client of clients) {
          // One that had fallen behind a small history was ended, and comes back.
          if (client.peer.ended !== undefined) {
            await reconnect(client);
            server.append();
            await settle();
          }
        }
        for (const client of clients) {
          read(client);
          expect(client.last).toBe(events.length);
        }
      }),
      { numRuns: 60 },
    );
  });
});
