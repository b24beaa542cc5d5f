import fc from "fast-check";
import { expect, it } from "vitest";
import type { SourceEvent } from "../../source/change-source.ts";
import { BlockCompressor } from "../compression/block-compressor.ts";
import { TimeShare } from "../compression/time-share.ts";
import { deflatedEvents, PLAIN_EVENTS } from "./event-encoding.ts";
import { inflateMessage } from "./inflate-message.ts";
import { payloadOf } from "./websocket-frame.ts";

const DEFLATED = deflatedEvents(
  new BlockCompressor({ minBytes: 200, level: 1, maxTimePercent: 100 }, new TimeShare(100, () => 0)),
);
const FINAL_TEXT = 0x81;
const FINAL_COMPRESSED_TEXT = 0xc1;

function textOf(frame: Buffer): string {
  const payload = payloadOf(frame);
  if (frame[0] === FINAL_TEXT) return payload.toString();
  expect(frame[0]).toBe(FINAL_COMPRESSED_TEXT);
  return inflateMessage(payload, 10_000_000).toString();
}

function eventOf(text: string): SourceEvent {
  return {
    channel: { tenant: "a", collection: "todos" },
    position: "1",
    committedAtMs: undefined,
    body: { type: "insert", documentId: "1", document: JSON.stringify({ id: 1, text }) },
  };
}

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 300 }),
  fc
    .tuple(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), fc.integer({ max: 10_000, min: 1 }))
    .map(([part, times]) => part.repeat(times)),
);

it.each(["raw", "v1"] as const)("says what %s says without compression", (kind) => {
  fc.assert(
    fc.property(text, (body) => {
      const [plain, deflated] = [PLAIN_EVENTS[kind], DEFLATED[kind]].map((format) =>
        format.event(eventOf(body), "cursor", "c1"),
      );
      expect(textOf(deflated ?? Buffer.alloc(0))).toBe(textOf(plain ?? Buffer.alloc(0)));
    }),
  );
});

it("compresses what gets smaller, and leaves the rest as it is", () => {
  const frameOf = (body: string): Buffer => DEFLATED.v1.event(eventOf(body), "cursor", "c1");
  expect(frameOf("small")[0]).toBe(FINAL_TEXT);
  expect(frameOf("again ".repeat(100))[0]).toBe(FINAL_COMPRESSED_TEXT);
  expect(frameOf("again ".repeat(100)).length).toBeLessThan(200);
});

it("has a snapshot's message say the same, compressed or not", () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), fc.string(), (bodies, id) => {
      const documents = bodies.map((body, index) => ({
        documentId: String(index),
        document: JSON.stringify({ body }),
      }));
      const [plain, deflated] = [PLAIN_EVENTS, DEFLATED].map((encoding) => {
        const end = encoding.v1.snapshots?.documents(documents) ?? Buffer.alloc(0);
        return Buffer.concat([encoding.snapshotHead(id, "c1", end), end]);
      });
      expect(textOf(deflated ?? Buffer.alloc(0))).toBe(textOf(plain ?? Buffer.alloc(0)));
    }),
  );
});
