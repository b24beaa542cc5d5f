import { constants, gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { BlockCompressor } from "../compression/block-compressor.ts";
import { TimeShare } from "../compression/time-share.ts";
import { gzipSse, PLAIN_SSE } from "./sse-encoding.ts";

const COMPRESSOR = new BlockCompressor(
  { minBytes: 1, level: 1, maxTimePercent: 100 },
  new TimeShare(100, () => 0),
);
const DOCUMENTS = [{ documentId: "1", document: `{"id":1,"text":"${"again ".repeat(50)}"}` }];

it("is gzip of what is sent without it, whatever is sent", () => {
  const plain = PLAIN_SSE;
  const gzip = gzipSse(COMPRESSOR);
  const event = {
    channel: { tenant: "a", collection: "todos" },
    position: "1",
    committedAtMs: undefined,
    body: { type: "insert" as const, documentId: "1", document: '{"id":1}' },
  };
  const written = [plain, gzip].map((encoding) => {
    const { head, format } = encoding;
    const slice = Buffer.concat(["1", "2", "3"].map((cursor) => format.event(event, cursor, "c")));
    return Buffer.concat([
      head,
      format.snapshots?.documents(DOCUMENTS) ?? Buffer.alloc(0),
      format.snapshots?.quiet ?? Buffer.alloc(0),
      format.snapshots?.event(event, "c") ?? Buffer.alloc(0),
      encoding.encode("event: ready\nid: 0\ndata: {}\n\n"),
      format.pack?.(slice) ?? slice,
      format.heartbeat?.("3", "c") ?? Buffer.alloc(0),
    ]);
  });
  const [asItIs = Buffer.alloc(0), compressed = Buffer.alloc(0)] = written;
  expect(gunzipSync(compressed, { finishFlush: constants.Z_SYNC_FLUSH }).toString()).toBe(asItIs.toString());
  expect(compressed.length).toBeLessThan(asItIs.length / 2);
  expect(asItIs.toString()).toContain("event: snapshot");
});
