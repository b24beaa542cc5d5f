import { describe, expect, it } from "vitest";
import type { Snapshot, SnapshotDocument } from "../source/change-source.ts";
import { SharedRead } from "./shared-read.ts";
import { SnapshotGivenUpError } from "./snapshot-reading.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A read of some batches of one document, each of which weighs 70. */
function setUp(batches: number, windowBytes: number) {
  let nowMs = 1_000;
  const seen = { done: 0 };
  async function* give(): AsyncGenerator<readonly SnapshotDocument[]> {
    for (let number = 1; number <= batches; number += 1) {
      await turn();
      yield [{ documentId: String(number), document: "{...}" }];
    }
  }
  const seam = { position: "9", saw: () => true };
  const snapshot: Snapshot = { since: "1", batches: give(), seam: () => Promise.resolve(seam) };
  const events = { weighed: () => undefined, done: () => (seen.done += 1) };
  const limits = { windowBytes, timeoutMs: 60_000, lagMs: 60_000 };
  const read = new SharedRead(
    () => Promise.resolve(snapshot),
    limits,
    events,
    false,
    () => nowMs,
  );
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { read, seen, pass };
}

async function turns(count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) await turn();
}

describe("SharedRead", () => {
  it("is stalled while it holds all that it may, and nobody takes any of it", async () => {
    const { read, pass } = setUp(5, 140);
    const reader = read.join();
    read.begin();
    pass(500);
    expect(read.stalledMs).toBe(0);
    await turns(10);
    expect(read.bytes).toBe(140);
    pass(100);
    expect(read.stalledMs).toBe(100);
    await reader.next();
    await turns(10);
    expect(read.stalledMs).toBe(0);
    pass(100);
    expect(read.stalledMs).toBe(100);
    for (let taken = 0; taken < 3; taken += 1) await reader.next();
    await turns(10);
    pass(100);
    // What was read to the end still takes room.
    expect({ bytes: read.bytes, stalledMs: read.stalledMs }).toEqual({ bytes: 70, stalledMs: 100 });
    await reader.next();
    expect({ bytes: read.bytes, stalledMs: read.stalledMs }).toEqual({ bytes: 0, stalledMs: 0 });
    reader.close();
  });

  it("gives way: its readers are told, and nothing is held", async () => {
    const { read, seen } = setUp(5, 140);
    const reader = read.join();
    read.begin();
    await turns(10);
    read.giveWay();
    await expect(reader.next()).rejects.toBeInstanceOf(SnapshotGivenUpError);
    expect(read.bytes).toBe(0);
    await turns(10);
    expect(seen.done).toBe(1);
  });
});
