import { describe, expect, it } from "vitest";
import { CARRIED_BYTES } from "./carried-bytes.ts";
import { DocumentScanner } from "./document-scanner.ts";
import { sequenceText } from "./sequence-text.ts";

const STREAM = Buffer.from(
  `event: snapshot\ndata: {"documents":[{"seq":"${sequenceText(9)}"}]}\n\nevent: reset\ndata: {}\n\n` +
    `event: snapshot\ndata: {"documents":[{"seq":"${sequenceText(1)}"},{"seq":"${sequenceText(20)}"}]}\n\nevent: ready\nid: 1\n\n`,
);

function scanned(partBytes: number): DocumentScanner {
  const scanner = new DocumentScanner();
  const buffer = Buffer.alloc(CARRIED_BYTES + partBytes);
  for (let from = 0; from < STREAM.length; from += partBytes) {
    const length = STREAM.copy(buffer, CARRIED_BYTES, from, from + partBytes);
    scanner.push(buffer, CARRIED_BYTES, CARRIED_BYTES + length);
  }
  return scanner;
}

describe("DocumentScanner", () => {
  it("counts each document once, however the stream is cut", () => {
    for (let partBytes = 1; partBytes <= STREAM.length; partBytes += 1) {
      const { documents, sequenceSum, isReady, resets } = scanned(partBytes);
      expect({ partBytes, documents, sequenceSum, isReady, resets }).toEqual({
        partBytes,
        documents: 2,
        sequenceSum: 21,
        isReady: true,
        resets: 1,
      });
    }
  });
});
