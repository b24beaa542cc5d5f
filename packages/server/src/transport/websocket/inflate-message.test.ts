import { constants, deflateRawSync } from "node:zlib";
import { expect, it } from "vitest";
import { FrameError } from "./frame-head.ts";
import { inflateMessage } from "./inflate-message.ts";

function deflateMessage(text: string): Buffer {
  return deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

function closeCodeOf(read: () => Buffer): number | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof FrameError) return error.closeCode;
    throw error;
  }
}

it.each(["", "a", '{"type":"subscribe","id":"1"}', "日本語 🦊".repeat(1000)])("reads %.20j", (text) => {
  expect(inflateMessage(deflateMessage(text), 65_536).toString()).toBe(text);
});

it("reads a message whose last block says that it is the last", () => {
  // The example of RFC 7692, section 7.2.3.4.
  const payload = Buffer.from([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]);
  expect(inflateMessage(payload, 100).toString()).toBe("Hello");
});

it("reads no more than is allowed", () => {
  expect(inflateMessage(deflateMessage("x".repeat(65_536)), 65_536)).toHaveLength(65_536);
  const bomb = deflateMessage("x".repeat(50_000_000));
  expect(bomb.length).toBeLessThan(65_536);
  expect(closeCodeOf(() => inflateMessage(bomb, 65_536))).toBe(1009);
});

it("refuses what is no deflate", () => {
  expect(closeCodeOf(() => inflateMessage(Buffer.from("not compressed"), 65_536))).toBe(1007);
});

it("refuses what refers to a message before", () => {
  // A block with fixed codes: a match of length 3 at distance 1, at the very beginning.
  const payload = Buffer.from([0x02, 0x02, 0x00]);
  expect(closeCodeOf(() => inflateMessage(payload, 65_536))).toBe(1007);
});
