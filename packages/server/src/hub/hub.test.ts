import { sequencePosition } from "@paperdb/protocol";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { MemoryLog, type HistoryLimits } from "../log/memory/memory-log.ts";
import type { ChangeSource, ChannelKey, SourceEvent } from "../source/change-source.ts";
import type { DeliveryTarget, EndReason, FrameFormat, Greeting } from "./delivery.ts";
import { Hub, type HubSettings } from "./hub.ts";
import { Round } from "./round.ts";
import type { Subscription } from "./subscription.ts";

const KEY: ChannelKey = { tenant: "a", collection: "todos" };
const SETTINGS: HubSettings = {
  lingerMs: 60_000,
  maxLingeringChannels: 10,
  maxBufferedBytes: 1_000_000,
  maxSliceBytes: 40,
  writeTimeoutMs: 60_000,
  heartbeatIntervalMs: 60_000,
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
  readonly epoch = "e1";
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
class Peer implements DeliveryTarget {
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
  const append = (documentId: string, channel = KEY): SourceEvent => {
    const event: SourceEvent = {
      channel,
      position: source.next(),
      committedAtMs: undefined,
      body: { type: "insert", documentId, document: "{}" },
    };
    void sink.append([event]);
    return event;
  };
  const connect = async (cursor?: string, filterId?: string): Promise<Peer> => {
    const peer = new Peer();
    const filter =
      filterId === undefined
        ? undefined
        : {
            id: filterId,
            sees: ({ body }: SourceEvent) =>
              !("topic" in body) && body.documentId.startsWith(filterId)
                ? ("as_is" as const)
                : ("nothing" as const),
          };
    const channel = await hub.open(source, KEY, cursor);
    peer.subscription = hub.subscribe(channel, { target: peer, format: LINES, filter, cursor });
    return peer;
  };
  return { log, hub, source, sink, append, connect };
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
    for (let n = 1; n <= 200; n += 1) append(String(n));
    await settle();
    const view = peer.subscription?.view;
    if (view === undefined) throw new Error("not subscribed");
    const round = new Round();
    const first = view.sliceAt(0, round);
    expect(view.sliceAt(0, round)).toBe(first);
    for (let place = 1; place < 200; place += 1) view.sliceAt(place, round);
    expect(view.sliceAt(0, round)).not.toBe(first);
    const again = view.sliceAt(0, round);
    round.end();
    expect(view.sliceAt(0, round)).not.toBe(again);
    expect(log.stats().events).toBe(200);
  });

  it("stops watching the longest idle channels beyond the bound", async () => {
    const { hub, source } = setUp({}, { maxLingeringChannels: 1 });
    for (const tenant of ["a", "b", "c"])
      hub.release(await hub.open(source, { tenant, collection: "todos" }));
    await expect
      .poll(() => source.unwatched.map(({ tenant }) => tenant), { timeout: 5000 })
      .toEqual(["a", "b"]);
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
