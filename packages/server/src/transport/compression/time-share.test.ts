import { expect, it } from "vitest";
import { TimeShare } from "./time-share.ts";

it("does no more work than its share of the time, but for what was saved up", () => {
  let nowMs = 0;
  let workedMs = 0;
  const share = new TimeShare(25, () => nowMs);
  const work = (): true => {
    nowMs += 1;
    workedMs += 1;
    return true;
  };
  while (nowMs < 10_000) if (share.run(work) === undefined) nowMs += 1;
  expect(workedMs).toBeGreaterThan(2_450);
  expect(workedMs).toBeLessThan(2_550);
});

it("begins with a little saved up, and never saves more", () => {
  let nowMs = 0;
  const share = new TimeShare(50, () => nowMs);
  const burst = (): number => {
    let done = 0;
    while (
      share.run(() => {
        nowMs += 1;
        return true;
      }) === true
    )
      done += 1;
    return done;
  };
  const first = burst();
  nowMs += 3_600_000;
  expect(burst()).toBe(first);
  expect(first).toBeLessThan(50);
});

it("lets one long piece of work be paid for afterwards", () => {
  let nowMs = 0;
  const share = new TimeShare(10, () => nowMs);
  expect(
    share.run(() => {
      nowMs += 120;
      return "done";
    }),
  ).toBe("done");
  nowMs += 800;
  expect(share.run(() => "too early")).toBeUndefined();
  nowMs += 201;
  expect(share.run(() => "again")).toBe("again");
});
