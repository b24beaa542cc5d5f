import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatCursor, isSequencePosition, parseCursor, sequencePosition } from "./cursor.ts";

const part = fc.stringMatching(/^[0-9A-Za-z_-]{1,40}$/);

describe("cursor", () => {
  it("reads back what it wrote, whatever the source is called", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
        part,
        part,
        fc.option(part, { nil: undefined }),
        (source, epoch, position, grant) => {
          fc.pre(new TextEncoder().encode(source).length <= 90);
          const cursor = { source, epoch, position, ...(grant === undefined ? {} : { grant }) };
          const text = formatCursor(cursor);
          expect(encodeURIComponent(text)).toBe(text);
          expect(parseCursor(text)).toEqual(cursor);
        },
      ),
    );
  });

  it("takes rubbish for no cursor, and never throws", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const cursor = parseCursor(text);
        if (cursor !== undefined) expect(formatCursor(cursor)).toBe(text);
      }),
    );
    for (const text of [
      "",
      ".",
      "a.b.c",
      "a.b",
      "YQ.e.p.",
      "YQ.e.p.g.h",
      "YQ.e.p\n",
      "a".repeat(10_000),
      "_w.e.p",
    ]) {
      expect(parseCursor(text)).toBeUndefined();
    }
  });

  it("orders positions of a counter as text", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger().map(Math.abs), fc.maxSafeInteger().map(Math.abs), (a, b) => {
        expect(sequencePosition(a) < sequencePosition(b)).toBe(a < b);
      }),
    );
  });
});

describe("a client's text", () => {
  it("is a sequence's position when it has its digits, and exactly so many", () => {
    fc.assert(
      fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), fc.string({ minLength: 1 }), (sequence, more) => {
        const position = sequencePosition(sequence);
        expect(isSequencePosition(position)).toBe(true);
        expect(isSequencePosition(position + more)).toBe(false);
        expect(isSequencePosition(more + position)).toBe(false);
        expect(isSequencePosition(position.slice(1))).toBe(false);
      }),
    );
    expect(isSequencePosition("0000000000A")).toBe(false);
    expect(isSequencePosition("0000000000\n")).toBe(false);
  });
});
