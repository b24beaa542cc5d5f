import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closeFrame, PING_FRAME, pongFrame, textFrame } from "./websocket-frame.ts";

/** Reads one unmasked frame as RFC 6455, section 5.2, has it. */
function readFrame(frame: Buffer): { first: number; payload: Buffer; headerBytes: number } {
  const length = frame.readUInt8(1);
  const headerBytes = length < 126 ? 2 : length === 126 ? 4 : 10;
  const byteLength =
    length < 126 ? length : length === 126 ? frame.readUInt16BE(2) : Number(frame.readBigUInt64BE(2));
  const payload = frame.subarray(headerBytes);
  expect(payload.length).toBe(byteLength);
  return { first: frame.readUInt8(0), payload, headerBytes };
}

describe("a text frame", () => {
  it.each([
    [0, 2],
    [1, 2],
    [125, 2],
    [126, 4],
    [65_535, 4],
    [65_536, 10],
    [16 * 1024 * 1024, 10],
  ])("of %i bytes has a header of %i", (byteLength, headerBytes) => {
    const frame = readFrame(textFrame("x".repeat(byteLength)));
    expect(frame.first).toBe(0x81);
    expect(frame.headerBytes).toBe(headerBytes);
    expect(frame.payload.equals(Buffer.alloc(byteLength, "x"))).toBe(true);
  });

  it("carries any text as UTF-8; half a character becomes the replacement character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const { payload } = readFrame(textFrame(text));
        expect(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload)).toBe(text);
      }),
    );
    expect(readFrame(textFrame("a\ud800b")).payload.toString()).toBe("a\ufffdb");
  });
});

describe("a close frame", () => {
  it("has a code and a reason", () => {
    const { first, payload } = readFrame(closeFrame(4001, "The token has expired."));
    expect(first).toBe(0x88);
    expect(payload.readUInt16BE(0)).toBe(4001);
    expect(payload.subarray(2).toString()).toBe("The token has expired.");
  });

  it("without a code is empty", () => {
    expect(closeFrame()).toEqual(Buffer.from([0x88, 0]));
  });

  it("cuts a long reason between characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 40, maxLength: 200 }), (reason) => {
        const { payload } = readFrame(closeFrame(4008, reason));
        expect(payload.length).toBeLessThanOrEqual(125);
        const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload.subarray(2));
        expect(reason.startsWith(text)).toBe(true);
        if (Buffer.byteLength(reason) <= 123) expect(text).toBe(reason);
        else expect(payload.length).toBeGreaterThan(121);
      }),
    );
  });
});

it("a ping is empty, and a pong has the ping's payload", () => {
  expect(PING_FRAME).toEqual(Buffer.from([0x89, 0]));
  expect(pongFrame(Buffer.from("abc"))).toEqual(Buffer.from([0x8a, 3, 0x61, 0x62, 0x63]));
  expect(() => pongFrame(Buffer.alloc(126))).toThrow(RangeError);
});
