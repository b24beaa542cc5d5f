import { sequencePosition } from "@paperdb/protocol";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SourceEvent } from "../../source/change-source.ts";
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

  it("forgets what is too old by itself, with a timer only while there is something to forget", () => {
    vi.useFakeTimers();
    try {
      const { log, append, passMs } = setUp();
      const history = log.open("s", { tenant: "a", collection: "t" });
      expect(vi.getTimerCount()).toBe(0);
      for (let round = 1; round <= 2; round += 1) {
        append("t");
        append("t");
        expect(vi.getTimerCount()).toBe(1);
        passMs(LIMITS.maxAgeMs + 1);
        vi.advanceTimersByTime(1_000);
        expect(history.firstIndex).toBe(round * 2);
        expect(vi.getTimerCount()).toBe(0);
      }
      log.stop();
      append("t");
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
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

  it.each(["prior", "hidden", "priorHidden"])("counts the bytes of what is not sent: %s", (member) => {
    const { log, append } = setUp();
    log.open("s", { tenant: "a", collection: "t" });
    append("t");
    const { bytes } = log.stats();
    void log.sinkFor("s").append([
      {
        channel: { tenant: "a", collection: "t" },
        position: sequencePosition(2),
        committedAtMs: undefined,
        body: { type: "update", documentId: "1", document: "{}", [member]: '{"long":1}' },
      },
    ]);
    expect(log.stats().bytes).toBe(2 * bytes + '{"long":1}'.length);
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

/** The event at a place in channel `t`. */
function eventAt(place: number, document = "{}"): SourceEvent {
  return {
    channel: { tenant: "a", collection: "t" },
    position: sequencePosition(place),
    committedAtMs: undefined,
    body: { type: "insert", documentId: String(place), document },
  };
}

function eventsBetween(since: number, until: number): readonly SourceEvent[] {
  return Array.from({ length: until - since }, (_, index) => eventAt(since + 1 + index));
}

describe("older events put before a history", () => {
  function setUpAt(place: number, limits: Partial<HistoryLimits> = {}) {
    const test = setUp(limits);
    const history = test.log.open("s", { tenant: "a", collection: "t" });
    history.begin(sequencePosition(place));
    const append = (at: number): void => void test.log.sinkFor("s").append([eventAt(at)]);
    return { ...test, history, append };
  }

  it("are at places below those that are there, which stay what they were", () => {
    const { log, history, append } = setUpAt(10);
    append(11);
    const offset = history.offsetAt(1);
    expect(log.prepend(history, eventsBetween(6, 10), sequencePosition(6))).toBe(true);
    expect([history.firstIndex, history.headIndex]).toEqual([-4, 1]);
    expect(history.completeSince).toBe(sequencePosition(6));
    expect(history.indexAfter(sequencePosition(5))).toBeUndefined();
    expect([6, 7, 10, 11].map((at) => history.indexAfter(sequencePosition(at)))).toEqual([-4, -3, 0, 1]);
    expect(history.entryAt(0).event.position).toBe(sequencePosition(11));
    expect(history.offsetAt(1)).toBe(offset);
    expect(history.offsetAt(1) - history.offsetAt(-4)).toBe(log.stats().bytes);
  });

  it("are forgotten first, by number and by age", () => {
    const { log, history, append, passMs } = setUpAt(10, { maxEventsPerChannel: 5 });
    append(11);
    passMs(600);
    log.prepend(history, eventsBetween(8, 10), sequencePosition(8));
    for (const at of [12, 13, 14]) append(at);
    expect([history.firstIndex, history.headIndex]).toEqual([-1, 4]);
    expect(history.completeSince).toBe(sequencePosition(9));
    passMs(600);
    log.forgetAged();
    expect([history.firstIndex, history.headIndex]).toEqual([1, 4]);
    expect(log.stats().events).toBe(3);
  });

  it("replace what came before the source said that it watches", () => {
    const { log } = setUp();
    const history = log.open("s", { tenant: "a", collection: "t" });
    const sink = log.sinkFor("s");
    void sink.append([eventAt(9), eventAt(10)]);
    expect(log.prepend(history, eventsBetween(7, 10), sequencePosition(7))).toBe(false);
    history.begin(sequencePosition(10));
    void sink.append([eventAt(11)]);
    expect(log.prepend(history, eventsBetween(7, 10), sequencePosition(7))).toBe(true);
    const from = history.indexAfter(sequencePosition(7)) ?? Number.NaN;
    expect([0, 1, 2, 3].map((index) => history.entryAt(from + index).event.position)).toEqual(
      [8, 9, 10, 11].map(sequencePosition),
    );
    expect(history.headIndex - from).toBe(4);
    expect(log.stats().events).toBe(4);
  });

  it("are refused when they do not fit, or the channel is closed", () => {
    const { log, history, append } = setUpAt(10, { maxEventsPerChannel: 5 });
    append(11);
    expect(log.prepend(history, eventsBetween(5, 10), sequencePosition(5))).toBe(false);
    expect([history.firstIndex, history.headIndex]).toEqual([0, 1]);
    expect(history.completeSince).toBe(sequencePosition(10));
    log.close("s", history);
    expect(log.prepend(history, eventsBetween(9, 10), sequencePosition(9))).toBe(false);
    expect(log.stats()).toEqual({ channels: 0, events: 0, bytes: 0 });
  });

  it("keep every place, offset and bound right (property)", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("append" as const), size: fc.nat(400) }),
      fc.record({ kind: fc.constant("prepend" as const), count: fc.integer({ min: 0, max: 8 }) }),
      fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 500 }) }),
      fc.record({ kind: fc.constant("other" as const), size: fc.nat(400) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const START = 10_000;
        const limits = { maxEventsPerChannel: 20, maxBytesPerChannel: 8_000, maxBytesTotal: 10_000 };
        const { log, history, passMs } = setUpAt(START, limits);
        log.open("s", { tenant: "a", collection: "u" });
        let newest = START;
        for (const current of steps) {
          const before = history.firstIndex;
          if (current.kind === "append") {
            newest += 1;
            void log.sinkFor("s").append([eventAt(newest, "x".repeat(current.size))]);
          } else if (current.kind === "other") {
            const event = eventAt(newest, "x".repeat(current.size));
            void log.sinkFor("s").append([{ ...event, channel: { ...event.channel, collection: "u" } }]);
          } else if (current.kind === "pass") {
            passMs(current.ms);
            log.forgetAged();
          } else {
            const until = START + before;
            const since = until - current.count;
            const done = log.prepend(history, eventsBetween(since, until), sequencePosition(since));
            expect(history.firstIndex).toBe(done ? before - current.count : before);
          }
          // A place is the number of events since the start, so it names its event.
          let bytes = 0;
          for (let index = history.firstIndex; index < history.headIndex; index += 1) {
            const position = sequencePosition(START + index + 1);
            expect(history.entryAt(index).event.position).toBe(position);
            expect(history.indexAfter(position)).toBe(index + 1);
            expect(history.offsetAt(index + 1) - history.offsetAt(index)).toBeGreaterThan(0);
            bytes = history.offsetAt(index + 1) - history.offsetAt(history.firstIndex);
          }
          expect(history.headIndex).toBe(newest - START);
          expect(bytes).toBe(history.endOffset - history.offsetAt(history.firstIndex));
          expect(history.completeSince).toBe(sequencePosition(START + history.firstIndex));
          expect(history.headIndex - history.firstIndex).toBeLessThanOrEqual(20);
          expect(log.stats().bytes).toBeLessThanOrEqual(10_000);
        }
        log.close("s", history);
        expect(log.stats().channels).toBe(1);
      }),
      { numRuns: 200 },
    );
  });
});
