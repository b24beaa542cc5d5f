import { describe, expect, it } from "vitest";
import { NotificationQueue } from "./notification-queue.ts";

const note = (payload: string) => ({ channel: "c", payload });
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A promise that the test resolves. */
function gate(): { readonly promise: Promise<void>; open(): void } {
  const opened: { resolve?: () => void } = {};
  const promise = new Promise<void>((resolve) => {
    opened.resolve = resolve;
  });
  return { promise, open: () => opened.resolve?.() };
}

describe("NotificationQueue", () => {
  it("hands on in order, waits for a promise, and tells when it is idle", async () => {
    const seen: string[] = [];
    const slow = gate();
    const queue = new NotificationQueue(
      1_000,
      ({ payload }) => {
        seen.push(payload);
        return payload === "slow" ? slow.promise : undefined;
      },
      () => void seen.push("idle"),
      () => void seen.push("overflow"),
    );
    for (const payload of ["a", "slow", "b"]) queue.push(note(payload));
    await turn();
    expect(seen).toEqual(["a", "slow"]);
    queue.push(note("c"));
    slow.open();
    await turn();
    expect(seen).toEqual(["a", "slow", "b", "c", "idle"]);
    expect(queue.waitingBytes).toBe(0);
  });

  it("drops what waits when it is too much, and goes on with what comes next", async () => {
    const seen: string[] = [];
    const slow = gate();
    let overflows = 0;
    const queue = new NotificationQueue(
      1_000,
      ({ payload }) => {
        seen.push(payload.slice(0, 4));
        return payload === "slow" ? slow.promise : undefined;
      },
      () => undefined,
      () => (overflows += 1),
    );
    queue.push(note("slow"));
    await turn();
    for (let count = 0; count < 8; count++) queue.push(note("x".repeat(100)));
    expect(overflows).toBe(1);
    expect(queue.waitingBytes).toBeLessThan(1_000);
    queue.push(note("next"));
    slow.open();
    await turn();
    expect(seen.at(0)).toBe("slow");
    expect(seen.at(-1)).toBe("next");
    expect(seen.length).toBeLessThan(10);
  });

  it("handles many without losing one", async () => {
    let handled = 0;
    const queue = new NotificationQueue(
      10_000_000,
      () => void (handled += 1),
      () => undefined,
      () => undefined,
    );
    for (let count = 0; count < 20_000; count++) queue.push(note("x"));
    await turn();
    expect(handled).toBe(20_000);
    expect(queue.waitingBytes).toBe(0);
  });
});
