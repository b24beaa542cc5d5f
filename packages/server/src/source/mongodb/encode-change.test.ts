import { expect, it } from "vitest";
import type { MongoCollection } from "./collections.ts";
import { encodeChange } from "./encode-change.ts";

const COLLECTION: MongoCollection = {
  name: "notes",
  collection: "notes",
  tenantField: "tenantId",
  hidden: new Set(),
  uuid: "0c1f",
  hasImages: true,
};

/** The position of an insert. */
function positionIn(uuid: string | undefined, document: object): string {
  const change = { operationType: "insert", documentKey: { _id: "1" } };
  const inserted = { tenant: "a", type: "insert", document } as const;
  const event = encodeChange({ ...COLLECTION, uuid }, change, inserted, "0123456789abcdef", 0, false);
  if (typeof event === "string") throw new Error("There was a document.");
  return event.position;
}

it("tells nothing about a document by its position to those who do not know the collection's number", () => {
  const position = positionIn("0c1f", { n: 1 });
  expect(positionIn("0c1f", { n: 1 })).toBe(position);
  expect(positionIn("0c1f", { n: 2 })).not.toBe(position);
  expect(positionIn("4e5a", { n: 1 })).not.toBe(position);
  expect(positionIn(undefined, { n: 1 })).not.toBe(position);
});
