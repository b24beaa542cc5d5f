import { describe, expect, it } from "vitest";
import { KEY, setUpHub, settle } from "../../../../tests/support/hub.ts";
import { LinePeer, LINES } from "../../../../tests/support/line-peer.ts";
import type { EventFilter, FrameFormat } from "./delivery.ts";

describe("Hub", () => {
  it("greets, then delivers what is appended, in order", async () => {
    const { append, connect } = setUpHub();
    const peer = await connect();
    append("1");
    append("2");
    await settle();
    expect(peer.lines[0]).toMatch(/^ready \S+ new$/);
    expect(peer.documents).toEqual(["1", "2"]);
  });

  it("resumes from a cursor with exactly what was missed", async () => {
    const { append, connect } = setUpHub();
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
    const { append, connect, source } = setUpHub();
    source.sequence = 5;
    const peer = await connect(cursor);
    append("1");
    await settle();
    expect(peer.lines[0]).toMatch(/^reset /);
    expect(peer.lines[1]).toMatch(/^ready \S+ new$/);
    expect(peer.documents).toEqual(["1"]);
  });

  it("leaves a peer that does not read alone, and catches it up when it does", async () => {
    const { append, connect, hub } = setUpHub();
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
    const { append, connect, hub } = setUpHub({ maxEventsPerChannel: 3 });
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
    const { append, connect, hub, sink, source } = setUpHub();
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
    const { append, connect, sink, source } = setUpHub();
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
    const { append, connect, sink, source } = setUpHub();
    const peer = await connect();
    append("1");
    await settle();
    sink.lost([KEY], source.next(), "lost");
    const back = await connect(peer.lastCursor);
    expect(back.lines[0]).toMatch(/^reset/);
  });

  it("ends the subscriptions of a dropped collection", async () => {
    const { connect, hub, sink } = setUpHub();
    const peer = await connect();
    sink.dropped("todos", "dropped");
    expect(peer.ended).toEqual({ kind: "dropped", detail: "dropped" });
    expect(hub.channelCount).toBe(0);
  });

  it("ends at once what is subscribed to a collection that was dropped since it was opened", async () => {
    const { connect, hub, sink, source } = setUpHub();
    const channel = await hub.open(source, KEY);
    sink.dropped("todos", "collection_dropped");
    const again = await connect();
    const peer = new LinePeer();
    hub.subscribe(channel, { target: peer, format: LINES, filter: undefined, cursor: undefined });
    expect([peer.ended, peer.lines]).toEqual([{ kind: "dropped", detail: "collection_dropped" }, []]);
    expect([again.ended, hub.subscriptionCount]).toEqual([undefined, 1]);
  });

  it("keeps a filter's subscribers apart, and their cursors moving", async () => {
    const { append, connect } = setUpHub();
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
    const { append, hub, source } = setUpHub({}, { maxLingeringChannels: 0, lingerMs: 0 });
    const named: FrameFormat = {
      namesChannel: true,
      event: ({ position }, _cursor, channel) => Buffer.from(`event ${channel} ${position}\n`),
    };
    const subscribe = async (prefix?: string): Promise<LinePeer> => {
      const peer = new LinePeer();
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
    const { append, connect, hub } = setUpHub();
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

  it("stops watching the longest idle channels beyond the bound", async () => {
    const { hub, source } = setUpHub({}, { maxLingeringChannels: 1 });
    for (const tenant of ["a", "b", "c"])
      hub.release(await hub.open(source, { tenant, collection: "todos" }));
    await expect.poll(() => source.unwatched.map(({ tenant }) => tenant)).toEqual(["a", "b"]);
  });
});

describe("a channel", () => {
  it("is released no more often than it was opened", async () => {
    const { hub, source } = setUpHub();
    const channel = await hub.open(source, KEY);
    hub.release(channel);
    expect(() => hub.release(channel)).toThrow("released more often");
    expect(hub.channelCount).toBe(1);
  });
});

describe("filters that cannot be found by an equality", () => {
  it("are refused when all of a channel would make its changes too dear, unless they are there already", async () => {
    const { hub, source, connectTo } = setUpHub({}, { maxTriedComparisons: 3 });
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
