import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChunkAssembler } from "./chunk-assembler.ts";

const MAX_BYTES = 20 * 5_850;

function chunksOf(message: string, id: string, chunkBytes: number): readonly string[] {
  const bytes = Buffer.from(message);
  const total = Math.ceil(bytes.length / chunkBytes);
  return Array.from({ length: total }, (_, index) => {
    const part = bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes);
    // PostgreSQL breaks base64 into lines.
    const lines = part.toString("base64").replaceAll(/.{76}/g, "$&\n");
    return `#${id}:${String(index + 1)}:${String(total)}:${lines}`;
  });
}

describe("ChunkAssembler", () => {
  it("puts any message together, wherever it is cut (property)", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", minLength: 1, maxLength: 300 }),
        fc.integer({ min: 20, max: 200 }),
        (message, chunkBytes) => {
          const assembler = new ChunkAssembler(MAX_BYTES);
          const chunks = chunksOf(message, "77.1", chunkBytes);
          fc.pre(chunks.length <= 20);
          const results = chunks.map((chunk) => assembler.add("c", chunk));
          expect(results.slice(0, -1)).toEqual(results.slice(0, -1).fill("incomplete"));
          expect(results.at(-1)).toEqual({ message: Buffer.from(message).toString("utf8") });
        },
      ),
    );
  });

  it("gives messages that follow each other one by one", () => {
    const assembler = new ChunkAssembler(MAX_BYTES);
    const chunks = [...chunksOf("first", "1.1", 3), ...chunksOf("second", "1.2", 3)];
    expect(chunks.map((chunk) => assembler.add("c", chunk))).toEqual([
      "incomplete",
      { message: "first" },
      "incomplete",
      { message: "second" },
    ]);
  });

  it.each([
    ["a chunk without its first", ["#1.1:2:2:QQ=="], ["garbage"]],
    [
      "a chunk twice",
      ["#1.1:1:3:QQ==", "#1.1:2:3:QQ==", "#1.1:2:3:QQ=="],
      ["incomplete", "incomplete", "garbage"],
    ],
    ["a chunk left out", ["#1.1:1:3:QQ==", "#1.1:3:3:QQ=="], ["incomplete", "garbage"]],
    ["another message's chunk", ["#1.1:1:2:QQ==", "#1.2:2:2:QQ=="], ["incomplete", "garbage"]],
    ["another number of chunks", ["#1.1:1:2:QQ==", "#1.1:2:3:QQ=="], ["incomplete", "garbage"]],
    ["more chunks than a document may have", ["#1.1:1:21:QQ=="], ["garbage"]],
    ["no chunks", ["#1.1:0:0:QQ=="], ["garbage"]],
    ["no header", ["#"], ["garbage"]],
    ["a header that is none", ["#x.1:1:1:QQ=="], ["garbage"]],
  ])("refuses %s", (_what, chunks, expected) => {
    const assembler = new ChunkAssembler(MAX_BYTES);
    expect(chunks.map((chunk) => assembler.add("c", chunk))).toEqual(expected);
  });

  it("does not mix channels", () => {
    const assembler = new ChunkAssembler(MAX_BYTES);
    expect(assembler.add("c", "#1.1:1:2:QQ==")).toBe("incomplete");
    expect(assembler.add("d", "#1.1:2:2:QQ==")).toBe("garbage");
  });
});
