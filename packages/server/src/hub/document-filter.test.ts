import { describe, expect, it } from "vitest";
import type { ChangeType } from "@paperdb/protocol";
import type { SourceEvent } from "../source/change-source.ts";
import { documentFilter } from "./document-filter.ts";
import { ParsedDocuments } from "./event-documents.ts";
import { seenEvent } from "./seen-event.ts";

const RED = documentFilter({
  id: "red",
  terms: [],
  matches: (document) => (document as { color: string }).color === "red",
});
const red = '{"color":"red"}';
const blue = '{"color":"blue"}';

function change(type: ChangeType, document: string, prior?: string): SourceEvent {
  const body = { type, documentId: "1", document, ...(prior === undefined ? {} : { prior }) };
  return { channel: { tenant: "a", collection: "t" }, position: "1", committedAtMs: undefined, body };
}

describe("documentFilter", () => {
  it.each([
    ["insert", red, undefined, "as_is"],
    ["insert", blue, undefined, "nothing"],
    ["delete", red, undefined, "as_is"],
    ["delete", blue, undefined, "nothing"],
    ["update", red, red, "as_is"],
    ["update", red, blue, "insert"],
    ["update", blue, red, "delete"],
    ["update", blue, blue, "nothing"],
    ["replace", red, red, "as_is"],
    ["replace", red, blue, "insert"],
    ["replace", blue, red, "delete"],
    ["replace", blue, blue, "nothing"],
    // The source does not know.
    ["update", red, undefined, "as_is"],
    ["update", blue, undefined, "nothing"],
  ] as const)("sees an %s of %s after %s %s", (type, document, prior, sight) => {
    const event = change(type, document, prior);
    expect(RED.sees(event, new ParsedDocuments(event))).toBe(sight);
  });

  it("tells of a delete with the prior document, never with the one that is not seen", () => {
    const event = change("update", blue, red);
    expect(seenEvent(event, "delete").body).toEqual({ type: "delete", documentId: "1", document: red });
    expect(seenEvent(event, "insert").body).toEqual({ type: "insert", documentId: "1", document: blue });
    expect(seenEvent(event, "as_is")).toBe(event);
    expect(seenEvent(change("update", blue), "delete").body).toMatchObject({ document: "null" });
  });

  it("sees no bus events", () => {
    const event: SourceEvent = { ...change("insert", red), body: { topic: "red", data: red } };
    expect(RED.sees(event, new ParsedDocuments(event))).toBe("nothing");
  });
});
