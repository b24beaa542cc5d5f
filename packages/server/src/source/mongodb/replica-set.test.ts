import { Timestamp } from "mongodb";
import { expect, it } from "vitest";
import { clusterTimeOf } from "./position.ts";
import { committedTime } from "./replica-set.ts";

const at = (i: number): Timestamp => new Timestamp({ t: 1_700_000_000, i });

it("the time up to which all is committed is the majority's; a router's is that of its operation", () => {
  const lastWrite = { opTime: { ts: at(9), t: 1 }, majorityOpTime: { ts: at(7), t: 1 } };
  expect(committedTime({ operationTime: at(9), lastWrite })).toBe(clusterTimeOf(at(7)));
  expect(committedTime({ operationTime: at(9), msg: "isdbgrid" })).toBe(clusterTimeOf(at(9)));
  expect(committedTime({ isWritablePrimary: true })).toBeUndefined();
});
