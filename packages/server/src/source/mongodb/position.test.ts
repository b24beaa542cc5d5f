import { Timestamp } from "mongodb";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  barrierPosition,
  clusterTimeOf,
  contradicts,
  eventDigest,
  eventPosition,
  isBarrier,
  isPosition,
  positionAbove,
  timeBefore,
  timeOf,
  tokenTime,
  toTimestamp,
} from "./position.ts";

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const time = fc.tuple(uint32, uint32).map(([t, i]) => clusterTimeOf(new Timestamp({ t, i })));
const digest = fc.stringMatching(/^[0-9a-f]{8}$/);

describe("positions", () => {
  it("ascend by time, then by place, and below the barrier of their time (property)", () => {
    const event = fc.tuple(time, fc.nat(2 ** 31), digest);
    fc.assert(
      fc.property(event, event, ([time1, place1, digest1], [time2, place2, digest2]) => {
        const one = eventPosition(time1, place1, digest1);
        const other = eventPosition(time2, place2, digest2);
        expect(isPosition(one)).toBe(true);
        expect(timeOf(one)).toBe(time1);
        if (time1 < time2 || (time1 === time2 && place1 < place2)) expect(one < other).toBe(true);
        expect(one < barrierPosition(time1)).toBe(true);
        expect(isBarrier(one)).toBe(false);
        expect(isBarrier(barrierPosition(time1))).toBe(true);
        expect(barrierPosition(time1) < other).toBe(time1 < time2);
      }),
    );
  });

  it("keep a timestamp (property)", () => {
    fc.assert(
      fc.property(uint32, uint32, (t, i) => {
        const timestamp = new Timestamp({ t, i });
        expect(toTimestamp(clusterTimeOf(timestamp)).equals(timestamp)).toBe(true);
      }),
    );
  });

  it("contradict each other when they differ in the digest only", () => {
    const at = (place: number, text: string): string =>
      eventPosition("0123456789abcdef", place, eventDigest("s", "insert", "1", text));
    expect(contradicts(at(1, "a"), at(1, "b"))).toBe(true);
    expect(contradicts(at(1, "a"), at(1, "a"))).toBe(false);
    expect(contradicts(at(1, "a"), at(2, "b"))).toBe(false);
  });

  it("have one above them, below those of the next time, however often", () => {
    const event = eventPosition("0123456789abcdef", 7, "ffffffff");
    let above = positionAbove(event);
    expect(above > event).toBe(true);
    for (let again = 0; again < 20; again += 1) {
      const next = positionAbove(above);
      expect([isPosition(next), isBarrier(next), next > above]).toEqual([true, true, true]);
      expect(next < eventPosition("0123456789abcdf0", 0, "00000000")).toBe(true);
      above = next;
    }
  });

  it("of barriers lie between the times", () => {
    fc.assert(
      fc.property(uint32, uint32, (t, i) => {
        fc.pre(t > 0 || i > 0);
        const later = clusterTimeOf(new Timestamp({ t, i }));
        const before = timeBefore(later);
        expect(before).toHaveLength(later.length);
        expect(barrierPosition(before) < eventPosition(later, 0, "00000000")).toBe(true);
        expect(BigInt(`0x${before}`) + 1n).toBe(BigInt(`0x${later}`));
      }),
    );
  });

  it.each(["", "0", "g".repeat(32), "0".repeat(31), "0".repeat(33), "A".repeat(32)])("are not %j", (text) => {
    expect(isPosition(text)).toBe(false);
  });
});

describe("tokenTime", () => {
  const token = { _data: "8265A1B2C3000000052B0229296E04" };

  it("reads MongoDB's resume tokens, where the time is plausible", () => {
    const read = "65a1b2c300000005";
    expect(tokenTime(token, "65a1b2c300000001", "65a1b2c300000009")).toBe(read);
    expect(tokenTime(token, read, read)).toBe(read);
    expect(tokenTime(token, "65a1b2c300000006", "65a1b2c300000009")).toBeUndefined();
    expect(tokenTime(token, "65a1b2c300000001", "65a1b28800000001")).toBe(read);
    expect(tokenTime(token, "65a1b2c300000001", "65a1b28600000001")).toBeUndefined();
  });

  it.each([undefined, null, "82", {}, { _data: 1 }, { _data: "82" }, { _data: `2d${"0".repeat(20)}` }])(
    "takes nothing of %j",
    (other) => {
      expect(tokenTime(other, "", "g")).toBeUndefined();
    },
  );
});
