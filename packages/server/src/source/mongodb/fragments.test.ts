import { Int32 } from "mongodb";
import { describe, expect, it } from "vitest";
import type { RawChange } from "./change.ts";
import { UnreadableEventError } from "./errors.ts";
import { Fragments } from "./fragments.ts";

const part = (fragment: number, of: number, fields: object): RawChange => ({
  ...fields,
  splitEvent: { fragment: new Int32(fragment), of: new Int32(of) },
});

describe("Fragments", () => {
  it("gives events that are whole as they are", () => {
    const change = { operationType: "insert" };
    expect(new Fragments(4).add(change)).toBe(change);
  });

  it("puts the fields of an event's fragments together", () => {
    const fragments = new Fragments(4);
    expect(fragments.add(part(1, 3, { operationType: "update", fullDocument: { n: 2 } }))).toBeUndefined();
    expect(fragments.isPartial).toBe(true);
    expect(fragments.add(part(2, 3, { fullDocumentBeforeChange: { n: 1 } }))).toBeUndefined();
    expect(fragments.add(part(3, 3, { updateDescription: {} }))).toMatchObject({
      operationType: "update",
      fullDocument: { n: 2 },
      fullDocumentBeforeChange: { n: 1 },
      updateDescription: {},
    });
    expect(fragments.isPartial).toBe(false);
    expect(fragments.add(part(1, 1, { operationType: "delete" }))).toMatchObject({ operationType: "delete" });
  });

  it.each<[string, readonly RawChange[]]>([
    ["begin with the second", [part(2, 2, {})]],
    ["leave one out", [part(1, 3, {}), part(3, 3, {})]],
    ["are followed by another event", [part(1, 2, {}), { operationType: "insert" }]],
    ["are too many", [part(1, 5, {})]],
    ["are not numbered", [{ splitEvent: "x" }]],
  ])("refuses fragments that %s, and reads on", (_name, changes) => {
    const fragments = new Fragments(4);
    const addAll = (): void => {
      for (const change of changes) fragments.add(change);
    };
    expect(addAll).toThrow(UnreadableEventError);
    expect(fragments.isPartial).toBe(false);
    expect(fragments.add({ operationType: "insert" })).toBeDefined();
  });
});
