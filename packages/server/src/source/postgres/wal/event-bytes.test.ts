import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventBytes } from "./event-bytes.ts";
import type { DocumentEvent } from "./event-bytes.ts";

const channel = { tenant: "a", collection: "t" };

// As documents are: halves of characters do not come out of a database.
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: "grapheme", minLength: 200, maxLength: 900 }),
);
const optional = fc.option(text, { nil: undefined });

const events: fc.Arbitrary<readonly DocumentEvent[]> = fc.array(
  fc
    .record({
      committedAtMs: fc.option(fc.integer({ min: 0, max: 2 ** 45 }), { nil: undefined }),
      transaction: fc.option(fc.integer({ min: 0, max: 0xffff_ffff }), { nil: undefined }),
      type: fc.constantFrom("insert", "update", "replace", "delete"),
      documentId: text,
      document: text,
      prior: optional,
      hidden: optional,
      priorHidden: optional,
    })
    .map(({ committedAtMs, transaction, type, documentId, document, prior, hidden, priorHidden }) => ({
      channel,
      position: "",
      committedAtMs,
      ...(transaction !== undefined && { transaction }),
      body: {
        type,
        documentId,
        document,
        ...(prior !== undefined && { prior }),
        ...(hidden !== undefined && { hidden }),
        ...(priorHidden !== undefined && { priorHidden }),
      },
    })),
  { maxLength: 60 },
);

const at = (event: DocumentEvent, place: number): DocumentEvent => ({
  ...event,
  position: String(place).padStart(6, "0"),
});

const large = (place: number, length: number): DocumentEvent =>
  at(
    {
      channel,
      position: "",
      committedAtMs: 0,
      body: { type: "insert", documentId: "1", document: "ä".repeat(length) },
    },
    place,
  );

describe("events as bytes", () => {
  it("come out as they went in, also when others were forgotten (property)", () => {
    fc.assert(
      fc.property(events, fc.nat(60), (all, forgotten) => {
        const bytes = new EventBytes();
        const placed = all.map(at);
        const addresses = placed.map((event) => bytes.add(event));
        expect(addresses).toEqual(addresses.toSorted((left, right) => left - right));
        bytes.forgetBefore(addresses[forgotten] ?? 0);
        for (const [index, address] of addresses.entries()) {
          if (index < forgotten && forgotten < addresses.length) continue;
          expect(bytes.read(address, channel)).toEqual(placed[index]);
          expect(bytes.position(address)).toBe(placed[index]?.position);
        }
      }),
    );
  });

  it("may be larger than the pieces in which they are kept, which are given back", () => {
    const bytes = new EventBytes();
    const sizes = [10, 400_000, 600_000, 100, 3_000_000, 5, 300_000, 300_000];
    for (let round = 0; round < 20; round++) {
      const placed = sizes.map((size, index) => large(round * sizes.length + index, size));
      const addresses = placed.map((event) => bytes.add(event));
      for (const [index, address] of addresses.entries()) {
        bytes.forgetBefore(address);
        expect(bytes.read(address, channel)).toEqual(placed[index]);
        expect(bytes.textBytes(address)).toBe(7 + 2 * (sizes[index] ?? 0));
      }
      expect(bytes.allocatedBytes).toBeLessThan(4 * 1024 * 1024);
    }
  });
});
