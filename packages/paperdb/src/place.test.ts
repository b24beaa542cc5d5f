import { formatCursor, sequencePosition } from "@paperdb/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { epochOf, isAfter } from "./place.ts";

const name = fc.stringMatching(/^[0-9A-Za-z_-]{1,20}$/);
const sequence = fc.nat({ max: Number.MAX_SAFE_INTEGER });

it("knows which of two cursors of one epoch is the later one, as the server makes them", () => {
  fc.assert(
    fc.property(name, name, sequence, sequence, (source, epoch, one, other) => {
      const cursorAt = (at: number): string =>
        formatCursor({ source, epoch, position: sequencePosition(at) });
      expect(isAfter(cursorAt(one), cursorAt(other))).toBe(one > other);
      expect(epochOf(cursorAt(one))).toBe(epochOf(cursorAt(other)));
    }),
  );
  expect(isAfter("a.b.c", undefined)).toBe(true);
});

it("tells epochs and sources apart", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(name, { minLength: 2, maxLength: 2 }),
      sequence,
      ([one = "", other = ""], at) => {
        const position = sequencePosition(at);
        const cursor = formatCursor({ source: "a", epoch: one, position });
        expect(epochOf(cursor)).not.toBe(epochOf(formatCursor({ source: "a", epoch: other, position })));
        expect(epochOf(cursor)).not.toBe(epochOf(formatCursor({ source: "b", epoch: one, position })));
      },
    ),
  );
});
