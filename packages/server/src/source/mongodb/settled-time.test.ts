import { expect, it } from "vitest";
import { SettledTime } from "./settled-time.ts";

it("is a time that was known for long enough, and follows those that come", () => {
  let nowMs = 0;
  const settled = new SettledTime(100, () => nowMs);
  expect(settled.value).toBe("");
  settled.add("1");
  nowMs = 99;
  settled.add("2");
  expect(settled.value).toBe("");
  nowMs = 100;
  expect(settled.value).toBe("1");
  settled.add("3");
  nowMs = 199;
  expect(settled.value).toBe("1");
  nowMs = 200;
  settled.add("4");
  expect(settled.value).toBe("3");
  nowMs = 1_000;
  expect(settled.value).toBe("4");
});
