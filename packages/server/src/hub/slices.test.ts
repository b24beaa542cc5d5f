import { describe, expect, it } from "vitest";
import { HUB_SETTINGS, setUpHub, settle } from "../../../../tests/support/hub.ts";
import { LINES } from "../../../../tests/support/line-peer.ts";
import type { FrameFormat } from "./delivery.ts";
import { Round } from "./round.ts";

describe("a slice", () => {
  it("packs a slice once for all that stand at the same place", async () => {
    const { append, connectTo } = setUpHub({}, { maxSliceBytes: 1000 });
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
    const { append, connect } = setUpHub();
    const peers = [await connect(), await connect(), await connect()];
    append("1");
    append("2");
    await settle();
    const [first, ...others] = peers.map((peer) => peer.writes.at(-1));
    for (const other of others) expect(other).toBe(first);
  });

  it("keeps few slices for those at different places", async () => {
    const { append, connect, log } = setUpHub({}, { maxSliceBytes: 100_000 });
    const peer = await connect();
    await connect();
    for (let n = 1; n <= 200; n += 1) append(String(n));
    await settle();
    const view = peer.subscription?.view;
    if (view === undefined) throw new Error("not subscribed");
    const round = new Round(HUB_SETTINGS.maxSharedBytes);
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
    const { append, connect, hub } = setUpHub({}, { maxSliceBytes: 1000, maxSharedBytes: 1 });
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
});
