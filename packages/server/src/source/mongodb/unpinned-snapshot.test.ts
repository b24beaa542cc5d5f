import { expect, it } from "vitest";
import type { SnapshotDocument, SourceEvent } from "../change-source.ts";
import { eventPosition } from "./position.ts";
import { unpinnedSnapshot } from "./unpinned-snapshot.ts";

const SINCE = eventPosition("0".repeat(16), 0, "0".repeat(8));
const INSERTED_AT = eventPosition("0".repeat(15) + "1", 0, "0".repeat(8));
const NOW = "0".repeat(15) + "2";

/** An insert, while the documents were read, of the first one. */
const INSERT: SourceEvent = {
  channel: { tenant: "a", collection: "todos" },
  position: INSERTED_AT,
  committedAtMs: undefined,
  body: { type: "insert", documentId: "1", document: "{}" },
};

async function* batchesOf(count: number): AsyncGenerator<readonly SnapshotDocument[]> {
  for (let id = 1; id <= count; id += 1) yield [{ documentId: String(id), document: "{}" }];
}

it.each([
  ["as many documents as are remembered is followed by what they do not have", 2, INSERTED_AT, true],
  ["more documents is whole, and followed by all changes since it was begun", 3, SINCE, false],
])("a snapshot of %s", async (_name, count, position, sawInsert) => {
  let read = 0;
  const snapshot = unpinnedSnapshot(SINCE, batchesOf(count), {
    narrowing: undefined,
    maxRememberedDocuments: 2,
    clock: { fetchNow: async () => NOW },
    replay: async () => [INSERT],
    delivered: async () => undefined,
  });
  for await (const batch of snapshot.batches) read += batch.length;
  expect(read).toBe(count);
  const seam = await snapshot.seam();
  expect(seam.position).toBe(position);
  expect(seam.saw(INSERT)).toBe(sawInsert);
});
