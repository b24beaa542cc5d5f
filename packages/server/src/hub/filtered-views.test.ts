import { formatCursor, sequencePosition } from "@paperdb/protocol";
import { describe, expect, it } from "vitest";
import { KEY, setUpHub, settle } from "../../../../tests/support/hub.ts";
import { CHANGES, inRooms, inserted, moved } from "../../../../tests/support/rooms.ts";
import type { EventFilter, FrameFormat } from "./delivery.ts";
import { topicFilter } from "./topic-filter.ts";

describe("filtered subscriptions", () => {
  it("see documents that move in as inserts and those that move out as deletes", async () => {
    const { push, connectTo } = setUpHub();
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
    const { push, connectTo } = setUpHub({}, { maxSliceBytes: 1000 });
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
    const { push, connectTo } = setUpHub();
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
    const { push, connectTo, hub } = setUpHub({ maxEventsPerChannel: 4 });
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
    const { push, connectTo, hub } = setUpHub({ maxEventsPerChannel: 4 });
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
    const { push, connectTo, hub } = setUpHub({}, { maxBufferedBytes: 2000 });
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
    const { push, connectTo, source } = setUpHub({ maxEventsPerChannel: 2 }, { heartbeatIntervalMs: 30 });
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
    const { push, connectTo, sink, source } = setUpHub();
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
      const { push, connectTo, hub } = setUpHub({}, { maxSliceBytes: 100 });
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
    const { sink, source, connectTo } = setUpHub();
    const peers = [await connectTo(topicFilter("order.paid")), await connectTo(topicFilter("order.*"))];
    for (const topic of ["order.paid", "order.sent", "user.paid"]) {
      const body = { topic, data: "1" };
      void sink.append([{ channel: KEY, position: source.next(), committedAtMs: undefined, body }]);
    }
    await settle();
    expect(peers.map(({ documents }) => documents)).toEqual([["order.paid"], ["order.paid", "order.sent"]]);
  });
});
