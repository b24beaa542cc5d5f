import { describe, expect, it } from "vitest";
import { FrameRun } from "./frame-run.ts";

const frame = (text: string): Buffer => Buffer.from(text);

describe("FrameRun", () => {
  it("has the frames from any of its places on, without a copy", () => {
    const run = FrameRun.of(7, frame("one ")).movedTo(7, 100);
    expect([run.add(frame("two ")), run.add(frame("three "))]).toEqual([true, true]);
    expect([7, 8, 9].map((place) => run.from(place).toString())).toEqual([
      "one two three ",
      "two three ",
      "three ",
    ]);
    expect(run.bytesFrom(8)).toBe(10);
    expect(run.next).toBe(10);
    expect(run.from(8).buffer).toBe(run.from(7).buffer);
  });

  it("is one frame as it is until there is more", () => {
    const only = frame("only");
    const run = FrameRun.of(0, only);
    expect(run.from(0)).toBe(only);
    expect(run.add(frame("!"))).toBe(false);
    expect(run.from(0)).toBe(only);
  });

  it("goes on from a place in it where there is more room, and leaves what was handed out alone", () => {
    const run = FrameRun.of(0, frame("one ")).movedTo(0, 8);
    run.add(frame("two "));
    const handedOut = run.from(0);
    expect(run.add(frame("three "))).toBe(false);
    const moved = run.movedTo(1, 10);
    expect(moved.add(frame("three "))).toBe(true);
    expect([moved.first, moved.next, moved.from(1).toString(), moved.from(2).toString()]).toEqual([
      1,
      3,
      "two three ",
      "three ",
    ]);
    expect(handedOut.toString()).toBe("one two ");
  });
});
