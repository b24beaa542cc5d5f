import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StillSource } from "../../../../tests/support/still-source.ts";
import { parseFilter } from "../filter/parse-filter.ts";
import { MemoryLog } from "../log/memory/memory-log.ts";
import { SSE_FRAMES } from "../transport/sse/sse-frames.ts";
import { Channel } from "./channel.ts";
import { documentFilter } from "./document-filter.ts";
import { FilterIndex } from "./filter-index.ts";
import { View } from "./view.ts";

function setUp() {
  const log = new MemoryLog({
    maxEventsPerChannel: 10,
    maxBytesPerChannel: 1e6,
    maxBytesTotal: 1e6,
    maxAgeMs: 1e6,
  });
  log.stop();
  const key = { tenant: "a", collection: "c" };
  const channel = new Channel("c1", key, new StillSource("s"), log.open("s", key));
  const index = new FilterIndex();
  const viewOf = (where: unknown): View => {
    const filter = documentFilter(parseFilter(where, "where"));
    const { history } = channel;
    return new View({ history, channel, name: "v", format: SSE_FRAMES, filter, maxSliceBytes: 1_000 });
  };
  /** Adds a view. @returns how much dearer that made an event. */
  const add = (view: View): number => {
    const { tried } = index;
    const { filter } = view;
    if (filter === undefined) throw new Error("It has no filter.");
    const added = index.addedBy(filter);
    index.add(view);
    expect(index.tried - tried).toBe(added);
    return added;
  };
  return { index, add, viewOf };
}

describe("what an event may take that nobody sees", () => {
  it("grows by each comparison of a filter without an equality", () => {
    const { add, viewOf } = setUp();
    expect(add(viewOf({ n: { $gt: 1 } }))).toBe(1);
    expect(add(viewOf({ $or: [{ n: { $gt: 1 } }, { m: { $in: [1, 2, 3] } }] }))).toBe(4);
    expect(add(viewOf({ n: { $nin: [1, 2] } }))).toBe(2);
  });

  it("grows by each path that is looked at, but for a few, and by no further equality on it", () => {
    const { add, viewOf } = setUp();
    for (let room = 1; room < 500; room += 1) expect(add(viewOf({ room: String(room) }))).toBe(0);
    const added = Array.from({ length: 10 }, (_, place) => add(viewOf({ [`place${String(place)}`]: "1" })));
    expect(added).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
  });

  it("grows by many filters that have the same equality", () => {
    const { add, viewOf } = setUp();
    let sum = 0;
    for (let n = 0; n < 200; n += 1) sum += add(viewOf({ room: "1", n: { $gt: n } }));
    // An equality and a range each, of which a hundred comparisons are free.
    expect(sum).toBe(300);
  });

  it("is what it was once all are gone again, in whatever order (property)", () => {
    const small = fc.integer({ min: 0, max: 2 });
    const where = fc.oneof(
      fc.record({ a: small }),
      fc.record({ a: small, n: fc.record({ $gt: fc.nat(500) }) }),
      fc.record({
        b: fc.record({ $in: fc.uniqueArray(small, { minLength: 1 }) }),
        n: fc.record({ $gt: fc.nat() }),
      }),
      fc.record({ n: fc.record({ $lt: fc.nat() }) }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(where, fc.boolean()), { maxLength: 300 }), (steps) => {
        const { index, add, viewOf } = setUp();
        const views: View[] = [];
        for (const [filter, stays] of steps) {
          const view = viewOf(filter);
          add(view);
          if (stays) views.push(view);
          else index.delete(view);
        }
        for (const view of views) index.delete(view);
        expect({ size: index.size, tried: index.tried }).toEqual({ size: 0, tried: 0 });
      }),
      { numRuns: 50 },
    );
  });
});
