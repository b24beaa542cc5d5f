import { describe, expect, it } from "vitest";
import { FrameScanner } from "./frame-scanner.ts";
import { sequenceText } from "./sequence-text.ts";

interface Found {
  readonly sequences: number[];
  readonly names: string[];
}

function scan(chunks: readonly Buffer[]): Found {
  const found: Found = { sequences: [], names: [] };
  const scanner = new FrameScanner({
    event: (sequence) => found.sequences.push(sequence),
    named: (name) => found.names.push(name),
  });
  for (const chunk of chunks) scanner.push(chunk);
  return found;
}

const event = (sequence: number): string =>
  `id: cursor\ndata: {"topic":"t","data":{"pad":"x","seq":"${sequenceText(sequence)}"}}\n\n`;
const STREAM = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" +
    `event: ready\nid: cursor\ndata: {"cursor":"c","resumed":false}\n\n${event(7)}id: heartbeat\n\n${event(8)}` +
    `event: reset\ndata: {"reason":"r"}\n\n`,
);
const FOUND: Found = { sequences: [7, 8], names: ["ready", "reset"] };

describe("FrameScanner", () => {
  it("finds events and named frames, and takes no heartbeat for either", () => {
    expect(scan([STREAM])).toEqual(FOUND);
  });

  it("finds the same wherever the stream is cut", () => {
    for (let cut = 0; cut <= STREAM.length; cut += 1) {
      expect(scan([STREAM.subarray(0, cut), STREAM.subarray(cut)])).toEqual(FOUND);
    }
  });

  it("finds the same byte by byte in memory that is used again", () => {
    const found: Found = { sequences: [], names: [] };
    const scanner = new FrameScanner({
      event: (sequence) => found.sequences.push(sequence),
      named: (name) => found.names.push(name),
    });
    const reused = Buffer.alloc(1);
    for (const byte of STREAM) {
      reused[0] = byte;
      scanner.push(reused);
    }
    expect(found).toEqual(FOUND);
  });

  it("refuses an event whose seq is no number", () => {
    expect(() => scan([Buffer.from('id: c\ndata: {"seq":"abcdefghij"}\n\n')])).toThrow("not a number");
  });
});
