import { expect, it } from "vitest";
import type { DocumentEvent } from "./event-bytes.ts";
import { GatheredEvents, WatchedChannel } from "./gathered-events.ts";

function setUp() {
  const gathered = new GatheredEvents();
  const channels = Array.from(
    { length: 100 },
    (_, index) => new WatchedChannel({ tenant: String(index), collection: "notes" }),
  );
  /** Adds events of channels in turn until the batch is full, and takes it. */
  const fill = (of: number, document: string): readonly DocumentEvent[] => {
    for (let added = 0; !gathered.isFull; added += 1) {
      const channel = channels[added % of];
      if (channel === undefined) throw new Error("no such channel");
      const body = { type: "insert", documentId: String(added), document } as const;
      gathered.add({ channel, position: String(added), committedAtMs: 0, body }, channel);
    }
    return gathered.take();
  };
  return { gathered, fill };
}

it("lets many channels gather more than one", () => {
  const { fill, gathered } = setUp();
  expect(fill(1, "{}")).toHaveLength(128);
  expect(fill(2, "{}")).toHaveLength(255);
  expect(fill(100, "{}")).toHaveLength(1_024);
  // Each batch counts anew.
  expect(fill(1, "{}")).toHaveLength(128);
  expect(gathered.isEmpty).toBe(true);
});

it("does not gather large documents", () => {
  const { fill } = setUp();
  expect(fill(100, " ".repeat(64 * 1024))).toHaveLength(4);
});

it("keeps the order", () => {
  const { fill } = setUp();
  expect(fill(7, "{}").map(({ body }) => Number(body.documentId))).toEqual(
    Array.from({ length: 127 * 7 + 1 }, (_, index) => index),
  );
});
