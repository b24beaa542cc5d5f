import { describe, expect, it } from "vitest";
import { CARRIED_BYTES } from "./carried-bytes.ts";
import { changeSequence, ChangeScanner, partsOf } from "./change-scanner.ts";
import { sequenceText } from "./sequence-text.ts";

const OWN = { tenants: 10, tenant: 3 };

function eventOf(writer: number, number: number): string {
  return `data: {"document":{"seq":"${sequenceText(changeSequence(writer, number))}"}}\n\n`;
}

/** Pushes a text in pieces of some bytes. */
function push(scanner: ChangeScanner, text: string, size: number, arrivals?: number[]): void {
  const bytes = Buffer.from(text);
  for (let from = 0; from < bytes.length; from += size) {
    const piece = Buffer.concat([Buffer.alloc(CARRIED_BYTES), bytes.subarray(from, from + size)]);
    scanner.push(piece, CARRIED_BYTES, piece.length, arrivals);
  }
}

describe("ChangeScanner", () => {
  const text = eventOf(0, 3) + eventOf(1, 13) + eventOf(0, 13) + eventOf(1, 23);

  it.each([1, 7, 16, 17, 1000])("finds each change once, in pieces of %i bytes", (size) => {
    const scanner = new ChangeScanner(OWN);
    const arrivals: number[] = [];
    push(scanner, text, size, arrivals);
    expect(arrivals.map(partsOf)).toEqual([
      { writer: 0, number: 3 },
      { writer: 1, number: 13 },
      { writer: 0, number: 13 },
      { writer: 1, number: 23 },
    ]);
    expect(scanner.events).toBe(4);
  });

  it.each([
    ["of another tenant", eventOf(0, 4)],
    ["that comes twice", eventOf(0, 3) + eventOf(0, 3)],
    ["behind a gap", eventOf(0, 3) + eventOf(0, 23)],
    ["that comes too late", eventOf(0, 13) + eventOf(0, 3)],
  ])("fails at a change %s", (_what, wrong) => {
    expect(() => push(new ChangeScanner(OWN), wrong, 1000)).toThrow("Tenant 3");
  });
});
