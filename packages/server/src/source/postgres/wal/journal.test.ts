import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DocumentEvent } from "./event-bytes.ts";
import { Journal } from "./journal.ts";

const positionOf = (number: number): string => String(number).padStart(6, "0");

function eventAt(number: number, tenant: string, document = "{}"): DocumentEvent {
  return {
    channel: { tenant, collection: "t" },
    position: positionOf(number),
    committedAtMs: 0,
    body: { type: "insert", documentId: String(number), document },
  };
}

function setUp(maxHistoryBytes = 1_000_000) {
  let nowMs = 0;
  const journal = new Journal({ maxHistoryBytes, maxHistoryAgeMs: 1_000 }, () => nowMs);
  journal.restart(positionOf(0));
  return {
    journal,
    pass: (ms: number): void => {
      nowMs += ms;
    },
    add: (number: number, tenant: string) => journal.add(eventAt(number, tenant), nowMs),
    replay: (tenant: string, since: number, until: number) =>
      journal
        .replay({ tenant, collection: "t" }, positionOf(since), positionOf(until))
        ?.map(({ position }) => Number(position)),
  };
}

describe("the journal", () => {
  it("answers with a channel's events after one position up to another, or that some are missing (property)", () => {
    const step = fc.record({
      tenant: fc.constantFrom("a", "b", "c"),
      misses: fc.nat(30).map((n) => n === 0),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 300 }),
        fc.integer({ min: 1_000, max: 60_000 }),
        (steps, bytes) => {
          const { journal, add, replay } = setUp(bytes);
          const all: [number, string][] = [];
          const missedAt = new Map<string, number>();
          for (const [index, { tenant, misses }] of steps.entries()) {
            const number = index + 1;
            if (misses) {
              missedAt.set(tenant, number);
              journal.miss({ tenant, collection: "t" }, positionOf(number), 0);
            } else {
              all.push([number, tenant]);
              add(number, tenant);
            }
            expect(journal.bytes).toBeLessThanOrEqual(bytes);
          }
          const since = Number(journal.completeSince);
          for (const tenant of ["a", "b", "c"]) {
            for (let from = 0; from <= steps.length; from += 7) {
              const isKnown = from >= since && from >= (missedAt.get(tenant) ?? 0);
              for (const until of [from, from + 5, steps.length]) {
                const expected = all.filter(
                  ([number, of]) => of === tenant && number > from && number <= until,
                );
                expect(replay(tenant, from, until)).toEqual(
                  isKnown ? expected.map(([number]) => number) : undefined,
                );
              }
            }
          }
        },
      ),
    );
  });

  it("forgets what is too old, and channels of which nothing is left", () => {
    const { journal, add, pass, replay } = setUp();
    add(1, "a");
    pass(600);
    add(2, "b");
    pass(600);
    journal.forgetAged();
    expect(replay("a", 0, 2)).toBeUndefined();
    expect(replay("b", 1, 2)).toEqual([2]);
    expect(journal.channels).toBe(1);
    pass(600);
    journal.forgetAged();
    expect(journal.channels).toBe(0);
    expect(journal.bytes).toBe(0);
    expect(journal.completeSince).toBe(positionOf(2));
  });

  it("counts the bytes of what is not sent, too", () => {
    const { journal } = setUp();
    journal.add(eventAt(1, "a"), 0);
    const { bytes } = journal;
    const event = eventAt(2, "a");
    journal.add({ ...event, body: { ...event.body, prior: '{"long":1}' } }, 0);
    expect(journal.bytes).toBe(2 * bytes + '{"long":1}'.length);
  });

  it("keeps nothing of an event that is larger than it may be, and says so", () => {
    const { journal, replay } = setUp(1_000);
    journal.add(eventAt(1, "a", JSON.stringify("x".repeat(2_000))), 0);
    expect(journal.bytes).toBe(0);
    expect(replay("a", 0, 1)).toBeUndefined();
    expect(replay("a", 1, 1)).toEqual([]);
  });

  it("knows nothing before it is told where it begins", () => {
    const journal = new Journal({ maxHistoryBytes: 1_000, maxHistoryAgeMs: 1_000 });
    expect(journal.replay({ tenant: "a", collection: "t" }, "0", "9")).toBeUndefined();
  });
});
