import { Int32 } from "mongodb";
import { describe, expect, it } from "vitest";
import { attribute, type RawChange } from "./change.ts";
import type { MongoCollection } from "./collections.ts";

const TODOS: MongoCollection = {
  name: "todos",
  collection: "todos",
  tenantField: "tenantId",
  hidden: new Set(),
  uuid: undefined,
  hasImages: true,
};

const of = (tenantId: unknown, n: number): object => ({ _id: 1, tenantId, n });
const kept = { updatedFields: {}, removedFields: [] };
const setTo = (tenantId: unknown): object => ({ updatedFields: { tenantId }, removedFields: [] });
const removed = { updatedFields: {}, removedFields: ["tenantId"] };

/** `tenant type n`, or `tenant type -` for an event that only takes its place. */
function read(change: RawChange, collection = TODOS): readonly string[] {
  return attribute(change, collection).map(({ tenant, type, document }) => {
    const n = document === undefined || !("n" in document) ? "-" : String(document.n);
    return `${tenant} ${type} ${n}`;
  });
}

describe("attribute", () => {
  it.each<[string, RawChange, readonly string[]]>([
    ["an insert", { operationType: "insert", fullDocument: of("a", 1) }, ["a insert 1"]],
    ["an insert of nobody", { operationType: "insert", fullDocument: of(null, 1) }, []],
    ["a delete", { operationType: "delete", fullDocumentBeforeChange: of("a", 1) }, ["a delete 1"]],
    ["a delete without pre-image", { operationType: "delete" }, []],
    ["a delete of nobody's", { operationType: "delete", fullDocumentBeforeChange: of(["a"], 1) }, []],
    [
      "a replace",
      { operationType: "replace", fullDocument: of("a", 2), fullDocumentBeforeChange: of("a", 1) },
      ["a replace 2"],
    ],
    ["a replace without pre-image", { operationType: "replace", fullDocument: of("a", 2) }, ["a replace 2"]],
    [
      "a replace that moves",
      { operationType: "replace", fullDocument: of("b", 2), fullDocumentBeforeChange: of("a", 1) },
      ["a delete 1", "b insert 2"],
    ],
    [
      "a replace that moves away",
      { operationType: "replace", fullDocument: of(undefined, 2), fullDocumentBeforeChange: of("a", 1) },
      ["a delete 1"],
    ],
    [
      "a replace that moves in",
      { operationType: "replace", fullDocument: of("b", 2), fullDocumentBeforeChange: of(undefined, 1) },
      ["b insert 2"],
    ],
    [
      "an update",
      {
        operationType: "update",
        fullDocument: of("a", 2),
        fullDocumentBeforeChange: of("a", 1),
        updateDescription: kept,
      },
      ["a update 2"],
    ],
    [
      "an update without pre-image",
      { operationType: "update", fullDocument: of("a", 2), updateDescription: kept },
      ["a update 2"],
    ],
    [
      "an update of a document that is gone",
      {
        operationType: "update",
        fullDocument: null,
        fullDocumentBeforeChange: of("a", 1),
        updateDescription: kept,
      },
      ["a update -"],
    ],
    [
      "an update of a document that is another tenant's when it is looked up",
      {
        operationType: "update",
        fullDocument: of("b", 3),
        fullDocumentBeforeChange: of("a", 1),
        updateDescription: kept,
      },
      ["a update -"],
    ],
    [
      "an update of nobody's document that is somebody's when it is looked up",
      {
        operationType: "update",
        fullDocument: of("b", 3),
        fullDocumentBeforeChange: of(null, 1),
        updateDescription: kept,
      },
      [],
    ],
    [
      "an update that moves",
      {
        operationType: "update",
        fullDocument: of("b", 2),
        fullDocumentBeforeChange: of("a", 1),
        updateDescription: setTo("b"),
      },
      ["a delete 1", "b insert 2"],
    ],
    [
      "an update that moves, of a document that has moved on when it is looked up",
      {
        operationType: "update",
        fullDocument: of("c", 3),
        fullDocumentBeforeChange: of("a", 1),
        updateDescription: setTo("b"),
      },
      ["a delete 1", "b insert -"],
    ],
    [
      "an update that moves, of a document that is gone",
      {
        operationType: "update",
        fullDocument: null,
        fullDocumentBeforeChange: of("a", 1),
        updateDescription: setTo("b"),
      },
      ["a delete 1", "b insert -"],
    ],
    [
      "an update that moves without pre-image",
      { operationType: "update", fullDocument: of("b", 2), updateDescription: setTo("b") },
      ["b insert 2"],
    ],
    [
      "an update that removes the tenant",
      {
        operationType: "update",
        fullDocument: of(undefined, 2),
        fullDocumentBeforeChange: of("a", 1),
        updateDescription: removed,
      },
      ["a delete 1"],
    ],
    [
      "an update that changes the type of the tenant only",
      {
        operationType: "update",
        fullDocument: of("7", 2),
        fullDocumentBeforeChange: of(new Int32(7), 1),
        updateDescription: setTo("7"),
      },
      ["7 update 2"],
    ],
    ["an event of another kind", { operationType: "createIndexes", fullDocument: of("a", 1) }, []],
    ["an event without kind", { fullDocument: of("a", 1) }, []],
  ])("knows whose is %s", (_name, change, expected) => {
    expect(read(change)).toEqual(expected);
  });

  it("compares the documents where the tenant is inside one", () => {
    const nested = { ...TODOS, tenantField: "org.id" };
    const inOrg = (id: string, n: number): object => ({ _id: 1, org: { id }, n });
    const update = { operationType: "update" };
    const before = { fullDocumentBeforeChange: inOrg("a", 1) };
    expect(read({ ...update, ...before, fullDocument: inOrg("b", 2) }, nested)).toEqual([
      "a delete 1",
      "b insert 2",
    ]);
    expect(read({ ...update, ...before, fullDocument: inOrg("a", 2) }, nested)).toEqual(["a update 2"]);
    expect(read({ ...update, ...before, fullDocument: null }, nested)).toEqual(["a update -"]);
  });

  it.each(["update", "replace"])(
    "tells the document before an %s that stays with its tenant",
    (operationType) => {
      const change = {
        operationType,
        fullDocument: of("a", 2),
        fullDocumentBeforeChange: of("a", 1),
        updateDescription: kept,
      };
      expect(attribute(change, TODOS).map(({ prior }) => prior)).toEqual([of("a", 1)]);
      const moved = { ...change, fullDocument: of("b", 2), updateDescription: setTo("b") };
      expect(attribute(moved, TODOS).map(({ prior }) => prior)).toEqual([undefined, undefined]);
      const looked = { ...change, fullDocumentBeforeChange: null };
      expect(attribute(looked, TODOS).map(({ prior }) => prior)).toEqual([undefined]);
    },
  );

  it("never gives a tenant a document of another one", () => {
    const tenants = ["a", "b", undefined];
    for (const operationType of ["insert", "update", "replace", "delete"]) {
      for (const before of tenants) {
        for (const after of tenants) {
          for (const updateDescription of [undefined, kept, removed, setTo("a"), setTo("b")]) {
            const change = {
              operationType,
              fullDocument: of(after, 2),
              fullDocumentBeforeChange: of(before, 1),
              updateDescription,
            };
            for (const { tenant, type, document, prior } of attribute(change, TODOS)) {
              if (document !== undefined) expect(document).toMatchObject({ tenantId: tenant });
              if (prior !== undefined) expect([tenant, type]).toEqual([before, operationType]);
            }
          }
        }
      }
    }
  });
});
