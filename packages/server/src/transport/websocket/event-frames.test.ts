import { describe, expect, it } from "vitest";
import type { SourceEvent } from "../../source/change-source.ts";
import { RAW_EVENTS, snapshotHead, V1_EVENTS } from "./event-frames.ts";

function change(type: "insert" | "update" | "replace" | "delete", document: string): SourceEvent {
  return {
    channel: { tenant: "acme", collection: 'a "b"' },
    position: "1",
    committedAtMs: undefined,
    body: { type, documentId: '["x",1]', document },
  };
}

/** The payload of a short or a medium frame. */
function textOf(frame: Buffer | undefined): string {
  if (frame === undefined) throw new Error("no frame");
  return frame.subarray(frame.readUInt8(1) < 126 ? 2 : 4).toString();
}

describe.each(["insert", "update", "replace", "delete"] as const)("a change of type %s", (type) => {
  const seen = type === "replace" ? "update" : type;

  it("is exactly type, collection and data without a subprotocol", () => {
    const text = textOf(RAW_EVENTS.event(change(type, '{"n":1.50}'), "c", "c1"));
    expect(text).toBe(`{"type":"${seen}","collection":"a \\"b\\"","data":{"n":1.50}}`);
  });

  it("has its channel, cursor and document id on paperdb.v1, and the document as it is", () => {
    const text = textOf(V1_EVENTS.event(change(type, '{"n":1.50}'), "the.cursor", "c1"));
    expect(text).toContain('"data":{"n":1.50}');
    expect(JSON.parse(text)).toEqual({
      type: "event",
      channel: "c1",
      cursor: "the.cursor",
      event: { type: seen, collection: 'a "b"', documentId: '["x",1]', data: { n: 1.5 } },
    });
  });
});

it("a topic's event has its topic, and no raw connection gets it", () => {
  const event: SourceEvent = {
    channel: { tenant: "acme", collection: "" },
    position: "1",
    committedAtMs: undefined,
    body: { topic: "order.created", data: "[1]" },
  };
  expect(JSON.parse(textOf(V1_EVENTS.event(event, "c", "c2.1")))).toEqual({
    type: "event",
    channel: "c2.1",
    cursor: "c",
    event: { topic: "order.created", data: [1] },
  });
  expect(() => RAW_EVENTS.event(event, "c", "c2.1")).toThrow("no topics");
});

it.each([1, 60, 5_000])("a snapshot of %i documents is one frame, most of it the same for all", (count) => {
  const batch = Array.from({ length: count }, (_, n) => ({ documentId: `"${n}"`, document: `{"n":${n}}` }));
  const documents = V1_EVENTS.snapshots?.documents(batch) ?? Buffer.alloc(0);
  const frame = Buffer.concat([snapshotHead('my "id"', "c1", documents), documents]);
  const headerBytes = frame.indexOf("{");
  const lengths = { 2: frame[1], 4: frame.readUInt16BE(2), 10: Number(frame.readBigUInt64BE(2)) };
  expect(lengths).toMatchObject({ [headerBytes]: frame.length - headerBytes });
  expect(JSON.parse(frame.subarray(headerBytes).toString())).toEqual({
    type: "snapshot",
    id: 'my "id"',
    channel: "c1",
    documents: batch.map(({ document }) => JSON.parse(document) as unknown),
    documentIds: batch.map(({ documentId }) => documentId),
  });
});

it("a heartbeat carries the cursor of its channel; raw connections have none", () => {
  expect(JSON.parse(textOf(V1_EVENTS.heartbeat?.("the.cursor", "c1")))).toEqual({
    type: "heartbeat",
    cursors: { c1: "the.cursor" },
  });
  expect("heartbeat" in RAW_EVENTS).toBe(false);
});
