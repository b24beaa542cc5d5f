import fc from "fast-check";
import { expect, it } from "vitest";
import { sequenceText } from "./sequence-text.ts";
import { SequenceScanner } from "./sequence-scanner.ts";

function scan(stream: Buffer, chunkBytes: readonly number[]): number[] {
  const found: number[] = [];
  const scanner = new SequenceScanner((sequence) => found.push(sequence));
  const reused = Buffer.alloc(stream.length);
  let at = 0;
  for (let turn = 0; at < stream.length; turn += 1) {
    const bytes = Math.max(1, chunkBytes[turn % chunkBytes.length] ?? stream.length);
    const length = stream.copy(reused, 0, at, Math.min(stream.length, at + bytes));
    scanner.push(reused.subarray(0, length));
    reused.fill("!");
    at += bytes;
  }
  return found;
}

function event(sequence: number, pad: number): string {
  return `id: ${sequence}\ndata: {"pad":"${"x".repeat(pad)}","seq":"${sequenceText(sequence)}"}\n\n`;
}

const events = fc.array(fc.record({ sequence: fc.nat(99_999), pad: fc.nat(40) }), { maxLength: 30 });
const chunks = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 12 });

it("finds each sequence, once, wherever the chunks end", () => {
  fc.assert(
    fc.property(events, chunks, (sent, chunkBytes) => {
      const stream = Buffer.from(sent.map(({ sequence, pad }) => event(sequence, pad)).join(""));
      expect(scan(stream, chunkBytes)).toEqual(sent.map(({ sequence }) => sequence));
    }),
  );
});

it("finds each of many events of one size", () => {
  const sequences = Array.from({ length: 300 }, (_, index) => index + 7);
  const stream = Buffer.from(sequences.map((sequence) => event(sequence, 200)).join(""));
  for (const bytes of [1, 13, 16, 17, 251, 65_536]) expect(scan(stream, [bytes])).toEqual(sequences);
});

it("does not pass over smaller events where a larger one is expected", () => {
  const texts = [event(1, 100), event(2, 100), event(50, 10), event(3, 100), event(4, 100)];
  expect(scan(Buffer.from(texts.join("")), [65_536])).toEqual([1, 2, 50, 3, 4]);
});

it("refuses what is not a number", () => {
  expect(() => scan(Buffer.from('"seq":"00000x0000"'), [64])).toThrow("not a number");
});
