import { describe, expect, it } from "vitest";
import type { SourceEvent } from "../source/change-source.ts";
import type { EventDocuments, FilterTerm } from "./delivery.ts";
import { ParsedDocuments } from "./event-documents.ts";
import { EventKeys } from "./event-keys.ts";

const MAX_BYTES = 100_000;

function eventOf(document: Record<string, unknown>): SourceEvent {
  return {
    channel: { tenant: "a", collection: "todos" },
    position: "1",
    committedAtMs: undefined,
    body: { type: "insert", documentId: "1", document: JSON.stringify(document) },
  };
}

function setUp(): {
  readonly keys: EventKeys;
  /** Events whose documents were asked for, in order. */
  readonly asked: readonly SourceEvent[];
  readonly fulfil: (term: FilterTerm, event: SourceEvent) => boolean;
} {
  const keys = new EventKeys(MAX_BYTES);
  const asked: SourceEvent[] = [];
  const documentsOf = (event: SourceEvent): EventDocuments => {
    asked.push(event);
    return new ParsedDocuments(event);
  };
  return { keys, asked, fulfil: (term, event) => keys.fulfil(term, event, documentsOf) };
}

describe("EventKeys", () => {
  it("look at an event once for all filters on one path", () => {
    const { asked, fulfil } = setUp();
    const event = eventOf({ room: 1 });
    for (const key of [1, 2, "1"]) expect(fulfil({ path: ["room"], keys: [key] }, event)).toBe(key === 1);
    expect(fulfil({ path: ["owner"], keys: [null] }, event)).toBe(true);
    expect(asked).toEqual([event, event]);
  });

  it("keep no more than the bound, however many paths and events there are, and are right all the same", () => {
    const { keys, asked, fulfil } = setUp();
    const events = Array.from({ length: 100 }, (_, n) => eventOf({ [`path${n}`]: n }));
    let most = 0;
    for (let path = 0; path < 100; path += 1) {
      const seen = events.filter((event) => {
        const isSeen = fulfil({ path: [`path${path}`], keys: [path] }, event);
        most = Math.max(most, keys.bytes);
        return isSeen;
      });
      expect(seen).toEqual([events[path]]);
    }
    expect(most).toBeGreaterThan(MAX_BYTES / 2);
    expect(most).toBeLessThanOrEqual(MAX_BYTES);
    const before = asked.length;
    const [oldest, newest] = [events[0], events.at(-1)];
    if (oldest === undefined || newest === undefined) throw new Error("There are no events.");
    // What was looked at last is kept; what was looked at long ago is looked at again.
    expect(fulfil({ path: ["path99"], keys: [99] }, newest)).toBe(true);
    expect(asked).toHaveLength(before);
    expect(fulfil({ path: ["path0"], keys: [0] }, oldest)).toBe(true);
    expect(asked).toHaveLength(before + 1);
  });

  it("count long texts, and do not let go of all for one that is too long", () => {
    const { keys, asked, fulfil } = setUp();
    const small = eventOf({ room: 1 });
    fulfil({ path: ["room"], keys: [1] }, small);
    for (let n = 0; n < 3; n += 1)
      fulfil({ path: ["text"], keys: ["x"] }, eventOf({ text: "x".repeat(MAX_BYTES / 8) }));
    expect(keys.bytes).toBeGreaterThan((3 * MAX_BYTES) / 8);
    const long = eventOf({ text: "x".repeat(MAX_BYTES) });
    const before = asked.length;
    for (let n = 0; n < 2; n += 1) expect(fulfil({ path: ["text"], keys: ["x"] }, long)).toBe(false);
    expect(asked).toHaveLength(before + 2);
    expect(keys.bytes).toBeLessThanOrEqual(MAX_BYTES);
    expect(fulfil({ path: ["room"], keys: [1] }, small)).toBe(true);
    expect(asked).toHaveLength(before + 2);
  });
});
