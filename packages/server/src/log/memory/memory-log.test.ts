import { sequencePosition } from "@paperdb/protocol";
import { afterEach, describe, expect, it } from "vitest";
import { MemoryLog, type HistoryLimits } from "./memory-log.ts";

const LIMITS: HistoryLimits = {
  maxEventsPerChannel: 100,
  maxBytesPerChannel: 1e9,
  maxBytesTotal: 1e9,
  maxAgeMs: 1000,
};
const logs: MemoryLog[] = [];

function setUp(limits: Partial<HistoryLimits> = {}) {
  let nowMs = 0;
  let sequence = 0;
  const log = new MemoryLog({ ...LIMITS, ...limits }, () => nowMs);
  logs.push(log);
  return {
    log,
    passMs: (ms: number) => {
      nowMs += ms;
    },
    append: (collection: string, document = "{}", source = "s") => {
      sequence += 1;
      void log.sinkFor(source).append([
        {
          channel: { tenant: "a", collection },
          position: sequencePosition(sequence),
          committedAtMs: undefined,
          body: { type: "insert", documentId: String(sequence), document },
        },
      ]);
    },
  };
}

afterEach(() => {
  for (const log of logs.splice(0)) log.stop();
});

describe("MemoryLog", () => {
  it("keeps the events of open channels only", () => {
    const { log, append } = setUp();
    append("t");
    const history = log.open("s", { tenant: "a", collection: "t" });
    history.begin(sequencePosition(1));
    append("t");
    append("u");
    expect(history.headIndex - history.firstIndex).toBe(1);
    expect(history.positionAt(history.headIndex)).toBe(sequencePosition(2));
  });

  it("keeps channels of one name in two sources apart", () => {
    const { log, append } = setUp();
    const one = log.open("one", { tenant: "a", collection: "" });
    const two = log.open("two", { tenant: "a", collection: "" });
    append("", "{}", "two");
    log.sinkFor("two").lost("all", sequencePosition(9), "lost");
    expect([one.generation, two.generation]).toEqual([0, 1]);
    expect(one.headIndex).toBe(0);
  });

  it("knows which positions can be resumed from", () => {
    const { log, append } = setUp({ maxEventsPerChannel: 2 });
    const history = log.open("s", { tenant: "a", collection: "t" });
    history.begin(sequencePosition(0));
    expect(history.indexAfter(sequencePosition(0))).toBe(0);
    expect(history.indexAfter(sequencePosition(1))).toBeUndefined();
    append("u");
    for (let n = 0; n < 3; n += 1) append("t");
    // t has 2, 3, 4; 2 is forgotten.
    expect(history.indexAfter(sequencePosition(1))).toBeUndefined();
    expect(history.indexAfter(sequencePosition(2))).toBe(1);
    expect(history.indexAfter(sequencePosition(3))).toBe(2);
    expect(history.indexAfter(sequencePosition(4))).toBe(3);
    expect(history.indexAfter(sequencePosition(5))).toBeUndefined();
  });

  it("hides what was appended before the source said that it watches", () => {
    const { log, append } = setUp();
    const history = log.open("s", { tenant: "a", collection: "t" });
    append("t");
    append("t");
    history.begin(sequencePosition(1));
    expect(history.indexAfter(sequencePosition(1))).toBe(1);
    expect(history.indexAfter(sequencePosition(0))).toBeUndefined();
  });

  it("forgets by age, and the quiet channel's last position stays good", () => {
    const { log, append, passMs } = setUp();
    const history = log.open("s", { tenant: "a", collection: "t" });
    history.begin(sequencePosition(0));
    append("t");
    passMs(600);
    append("t");
    passMs(600);
    log.forgetAged();
    expect(history.firstIndex).toBe(1);
    passMs(600);
    log.forgetAged();
    expect(log.stats()).toEqual({ channels: 1, events: 0, bytes: 0 });
    expect(history.indexAfter(sequencePosition(2))).toBe(2);
    expect(history.positionAt(history.headIndex)).toBe(sequencePosition(2));
  });

  it("is bounded in bytes over all channels, oldest first", () => {
    const { log, append } = setUp({ maxBytesTotal: 5000 });
    const first = log.open("s", { tenant: "a", collection: "t" });
    const second = log.open("s", { tenant: "a", collection: "u" });
    append("t", `"${"x".repeat(1500)}"`);
    append("u", `"${"x".repeat(1500)}"`);
    append("t", `"${"x".repeat(1500)}"`);
    expect([first.firstIndex, second.firstIndex]).toEqual([1, 0]);
    append("t", `"${"x".repeat(1500)}"`);
    expect([first.firstIndex, second.firstIndex]).toEqual([1, 1]);
    expect(log.stats().bytes).toBeLessThanOrEqual(5000);
  });

  it("keeps a single event that is larger than the bound of its channel", () => {
    const { log, append } = setUp({ maxBytesPerChannel: 1000 });
    const history = log.open("s", { tenant: "a", collection: "t" });
    append("t");
    append("t", `"${"x".repeat(5000)}"`);
    expect(history.headIndex - history.firstIndex).toBe(1);
  });

  it("stays consistent over many compactions", () => {
    const { log, append } = setUp({ maxEventsPerChannel: 10 });
    const history = log.open("s", { tenant: "a", collection: "t" });
    for (let n = 0; n < 5000; n += 1) append("t");
    expect([history.firstIndex, history.headIndex]).toEqual([4990, 5000]);
    const { body } = history.entryAt(4995).event;
    expect("documentId" in body && body.documentId).toBe("4996");
    expect(log.stats().events).toBe(10);
  });

  it("asks the source to wait for the next turn of the event loop after many events", async () => {
    const { log } = setUp();
    log.open("s", { tenant: "a", collection: "t" });
    const sink = log.sinkFor("s");
    const append = (from: number, count: number) =>
      sink.append(
        Array.from({ length: count }, (_, n) => ({
          channel: { tenant: "a", collection: "t" },
          position: sequencePosition(from + n),
          committedAtMs: undefined,
          body: { type: "insert" as const, documentId: "1", document: "{}" },
        })),
      );
    expect(append(1, 10)).toBeUndefined();
    const busy = append(11, 300);
    expect(busy).toBeInstanceOf(Promise);
    expect(append(311, 1)).toBe(busy);
    await busy;
    expect(append(312, 1)).toBeUndefined();
  });

  it("never says that it is complete since before an event that a reset has dropped", () => {
    const { log, append } = setUp();
    const history = log.open("s", { tenant: "a", collection: "t" });
    history.begin(sequencePosition(0));
    append("t");
    append("t");
    log.sinkFor("s").lost("all", sequencePosition(1), "lost");
    expect(history.positionAt(history.headIndex)).toBe(sequencePosition(2));
    expect(history.indexAfter(sequencePosition(1))).toBeUndefined();
  });

  it("frees what a closed channel held", () => {
    const { log, append } = setUp();
    const history = log.open("s", { tenant: "a", collection: "t" });
    append("t");
    log.close("s", history);
    expect(log.stats()).toEqual({ channels: 0, events: 0, bytes: 0 });
    append("t");
    expect(log.stats().events).toBe(0);
  });
});
