import { gunzipSync, constants, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BlockCompressor } from "./block-compressor.ts";
import { storedBlocks } from "./stored-blocks.ts";
import { TimeShare } from "./time-share.ts";

const SETTINGS = { minBytes: 1, level: 1, maxTimePercent: 100 };
/** No time passes: there is always enough. */
const unlimited = (): TimeShare => new TimeShare(100, () => 0);

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  // What is repeated is what gets smaller.
  fc
    .tuple(fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 5000 }))
    .map(([part, times]) => part.repeat(times)),
);

function inflate(blocks: Buffer): Buffer {
  return inflateRawSync(blocks, { finishFlush: constants.Z_SYNC_FLUSH });
}

describe("blocks", () => {
  it("of any order are one stream of what was put in", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(text, fc.boolean())), fc.integer({ min: 1, max: 9 }), (parts, level) => {
        const compressor = new BlockCompressor({ ...SETTINGS, level }, unlimited());
        const stream = parts.map(([part, wanted]) => {
          const bytes = Buffer.from(part);
          return (wanted ? compressor.deflate(bytes) : undefined) ?? storedBlocks(bytes);
        });
        expect(inflate(Buffer.concat(stream)).toString()).toBe(parts.map(([part]) => part).join(""));
      }),
    );
  });

  it("are readable each by itself, whatever comes before", () => {
    const compressor = new BlockCompressor(SETTINGS, unlimited());
    const bytes = Buffer.from(JSON.stringify({ words: "the same again and again ".repeat(100) }));
    const [once, again] = [compressor.deflate(bytes), compressor.deflate(bytes)];
    expect(once).toBeDefined();
    expect(again).toEqual(once);
    expect(once?.subarray(-4)).toEqual(Buffer.from([0x00, 0x00, 0xff, 0xff]));
    expect(inflate(again ?? Buffer.alloc(0))).toEqual(bytes);
  });

  it("are read with the window that is promised", () => {
    const compressor = new BlockCompressor({ ...SETTINGS, level: 9 }, unlimited());
    const bytes = Buffer.from(Array.from({ length: 60_000 }, (_, index) => index % 9000).join());
    const blocks = compressor.deflate(bytes) ?? Buffer.alloc(0);
    const read = inflateRawSync(blocks, { windowBits: 13, finishFlush: constants.Z_SYNC_FLUSH });
    expect(read.equals(bytes)).toBe(true);
  });

  it("store more than fits into one block", () => {
    const bytes = Buffer.alloc(200_000, "0123456789");
    expect(inflate(storedBlocks(bytes)).equals(bytes)).toBe(true);
    expect(storedBlocks(Buffer.alloc(0))).toHaveLength(0);
  });

  it("follow a gzip header", () => {
    const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    const stream = Buffer.concat([header, storedBlocks(Buffer.from("data: 1\n\n"))]);
    expect(gunzipSync(stream, { finishFlush: constants.Z_SYNC_FLUSH }).toString()).toBe("data: 1\n\n");
  });
});

describe("a compressor leaves as it is", () => {
  it("what is below the bound", () => {
    const compressor = new BlockCompressor({ ...SETTINGS, minBytes: 100 }, unlimited());
    expect(compressor.deflate(Buffer.alloc(99, "a"))).toBeUndefined();
    expect(compressor.deflate(Buffer.alloc(100, "a"))).toBeDefined();
  });

  it("what does not get smaller", () => {
    const compressor = new BlockCompressor(SETTINGS, unlimited());
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    expect(compressor.deflate(bytes)).toBeUndefined();
  });

  it("what would hold up everything else", () => {
    const compressor = new BlockCompressor(SETTINGS, unlimited());
    expect(compressor.deflate(Buffer.alloc(1024 * 1024 + 1))).toBeUndefined();
    expect(compressor.deflate(Buffer.alloc(1024 * 1024))).toBeDefined();
  });

  it("what there is no time for", () => {
    let nowMs = 0;
    const time = new TimeShare(10, () => (nowMs += 100));
    const compressor = new BlockCompressor(SETTINGS, time);
    const bytes = Buffer.alloc(1000, "a");
    expect(compressor.deflate(bytes)).toBeDefined();
    expect(compressor.deflate(bytes)).toBeUndefined();
  });
});
