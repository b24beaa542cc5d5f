import type { DocumentChange } from "@paperdb/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseFilter } from "../../filter/parse-filter.ts";
import type { SourceEvent } from "../change-source.ts";
import { ReadDocuments } from "./seen-events.ts";

const at = (index: number): string => String(index).padStart(8, "0");

function eventAt(index: number, body: DocumentChange): SourceEvent {
  const channel = { tenant: "a", collection: "todos" };
  return { channel, position: at(index), committedAtMs: undefined, body };
}

/** The places of the events that were seen. */
function placesSeen(read: ReadDocuments, events: readonly SourceEvent[]): readonly number[] {
  const saw = read.seenOf(events);
  return events.filter((event) => saw(event)).map(({ position }) => Number(position));
}

/** What is done to one of a few documents, each time with a new value or one of two. */
const step = fc.record({
  id: fc.constantFrom("1", "2", "3"),
  away: fc.boolean(),
  value: fc.option(fc.constantFrom("x", "y"), { nil: undefined }),
});

/** A change of each step, and the documents before and after each. */
function play(steps: readonly { id: string; away: boolean; value: string | undefined }[]): {
  readonly events: readonly SourceEvent[];
  readonly states: readonly ReadonlyMap<string, string>[];
} {
  const states = [new Map<string, string>()];
  const events: SourceEvent[] = [];
  for (const [index, { id, away, value }] of steps.entries()) {
    const before = states.at(-1) ?? new Map<string, string>();
    const held = before.get(id);
    const after = new Map(before);
    if (held !== undefined && away) {
      after.delete(id);
      events.push(eventAt(index + 1, { type: "delete", documentId: id, document: held }));
    } else {
      const document = JSON.stringify({ value: value ?? index });
      after.set(id, document);
      const type = held === undefined ? "insert" : "update";
      events.push(eventAt(index + 1, { type, documentId: id, document }));
    }
    states.push(after);
  }
  return { events, states };
}

describe("ReadDocuments", () => {
  it("tell changes from those that follow, whenever each document was read (property)", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.array(fc.nat(), { minLength: 3 }), (steps, reads) => {
        const { events, states } = play(steps);
        const read = new ReadDocuments(undefined, 10);
        const held = new Map<string, string>();
        const readAt = new Map<string, number>();
        for (const [index, id] of ["1", "2", "3"].entries()) {
          const place = (reads[index] ?? 0) % states.length;
          readAt.set(id, place);
          const document = states[place]?.get(id);
          if (document === undefined) continue;
          held.set(id, document);
          read.add({ documentId: id, document });
        }
        const saw = read.seenOf(events);
        for (const event of events) {
          if ("topic" in event.body) throw new Error("This is no change.");
          const { type, documentId: id, document } = event.body;
          const place = readAt.get(id) ?? 0;
          const isHeld = states[place]?.has(id) ?? false;
          // What was seen never follows, and what follows fits.
          if (isHeld && Number(event.position) <= place) expect(saw(event)).toBe(true);
          if (saw(event)) continue;
          expect(held.has(id)).toBe(type !== "insert");
          if (type === "delete") held.delete(id);
          else held.set(id, document);
        }
        expect(held).toEqual(states.at(-1));
      }),
      { numRuns: 2_000 },
    );
  });

  it("know that a document was left out that a filter does not want", () => {
    const wanted = parseFilter({ room: 1 }, "where");
    const granted = parseFilter({ owner: "ann" }, "filters");
    const read = new ReadDocuments({ id: "1", wanted, granted }, 10);
    read.add({ documentId: "1", document: '{"room":1}', hidden: '{"owner":"ann"}' });
    const update = (index: number, documentId: string, room: number, owner: string): SourceEvent => {
      const [document, hidden] = [JSON.stringify({ room }), JSON.stringify({ owner })];
      return eventAt(index, { type: "update", documentId, document, hidden });
    };
    const events = [
      update(1, "1", 2, "ann"),
      update(2, "1", 1, "ann"),
      update(3, "1", 1, "bob"),
      update(4, "2", 1, "ann"),
      update(5, "2", 2, "ann"),
      update(6, "2", 1, "ann"),
      update(7, "3", 1, "bob"),
    ];
    expect(placesSeen(read, events)).toEqual([1, 2, 4, 5, 7]);
  });

  it("hold those events back that are read again without their documents", () => {
    const read = new ReadDocuments(undefined, 10);
    const insert = eventAt(1, { type: "insert", documentId: "1", document: '{"n":1}' });
    const gone = eventAt(2, { type: "delete", documentId: "1", document: '{"n":1}' });
    expect(read.seenOf([gone])(insert)).toBe(true);
    expect(read.seenOf([insert])(insert)).toBe(false);
  });

  it("tell documents with long ids apart", () => {
    const read = new ReadDocuments(undefined, 10);
    const [one, other] = ["x".repeat(1_000), `${"x".repeat(999)}y`];
    read.add({ documentId: one, document: "{}" });
    const inserts = [one, other].map((documentId, index) =>
      eventAt(index + 1, { type: "insert", documentId, document: "{}" }),
    );
    expect(placesSeen(read, inserts)).toEqual([1]);
  });

  it.each([
    [2, true],
    [3, false],
  ])("of %i documents, where 2 are remembered, are all remembered: %s", (count, isWhole) => {
    const read = new ReadDocuments(undefined, 2);
    for (let id = 1; id <= count; id += 1) read.add({ documentId: String(id), document: "{}" });
    expect(read.isWhole).toBe(isWhole);
    const insert = eventAt(1, { type: "insert", documentId: "1", document: "{}" });
    expect(placesSeen(read, [insert])).toEqual(isWhole ? [1] : []);
  });
});
