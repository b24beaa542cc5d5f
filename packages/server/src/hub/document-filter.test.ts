import { describe, expect, it } from "vitest";
import type { ChangeType } from "@paperdb/protocol";
import type { SourceEvent } from "../source/change-source.ts";
import { documentFilter } from "./document-filter.ts";
import { parseFilter } from "../filter/parse-filter.ts";
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

  it("sees nothing of a delete or an update whose documents are not known", () => {
    const all = documentFilter({ id: "{}", terms: [], matches: () => true });
    const deleted = change("delete", "null");
    expect(all.sees(deleted, new ParsedDocuments(deleted))).toBe("nothing");
    const updated = change("update", "null", "null");
    expect(all.sees(updated, new ParsedDocuments(updated))).toBe("nothing");
  });

  it("sees no bus events", () => {
    const event: SourceEvent = { ...change("insert", red), body: { topic: "red", data: red } };
    expect(RED.sees(event, new ParsedDocuments(event))).toBe("nothing");
  });
});

describe("documentFilter of a grant", () => {
  const mine = parseFilter({ owner: "ada" }, "filters");
  const event = (before: string | undefined, after: string | undefined): SourceEvent => {
    const kept = before === undefined ? "insert" : "update";
    const type = after === undefined ? "delete" : kept;
    return {
      channel: { tenant: "a", collection: "t" },
      position: "1",
      committedAtMs: undefined,
      body: {
        type,
        documentId: "1",
        document: red,
        ...(type === "update" ? { prior: red } : {}),
        ...(after === undefined ? {} : { hidden: JSON.stringify({ owner: after }) }),
        ...(before === undefined ? {} : { priorHidden: JSON.stringify({ owner: before }) }),
      },
    };
  };

  it.each([
    [undefined, "ada", "as_is"],
    [undefined, "eve", "nothing"],
    ["ada", undefined, "as_is"],
    ["eve", undefined, "nothing"],
    ["ada", "ada", "as_is"],
    ["eve", "ada", "insert"],
    ["ada", "eve", "delete"],
    ["eve", "eve", "nothing"],
  ] as const)("knows hidden fields: %s → %s is %s", (before, after, sight) => {
    const seen = event(before, after);
    expect(documentFilter(undefined, mine).sees(seen, new ParsedDocuments(seen))).toBe(sight);
    // For a client they are missing.
    expect(documentFilter(mine).sees(seen, new ParsedDocuments(seen))).toBe("nothing");
    const missing = parseFilter({ owner: null }, "where");
    expect(documentFilter(missing).sees(seen, new ParsedDocuments(seen))).toBe("as_is");
    expect(documentFilter(missing, mine).sees(seen, new ParsedDocuments(seen))).toBe(sight);
  });

  it("holds whatever the client asks for", () => {
    const wide = parseFilter({ $or: [{ owner: "eve" }, { owner: { $ne: "eve" } }, {}] }, "where");
    const seen = { ...change("insert", '{"owner":"eve"}') };
    expect(documentFilter(wide, mine).sees(seen, new ParsedDocuments(seen))).toBe("nothing");
    expect(documentFilter(wide).sees(seen, new ParsedDocuments(seen))).toBe("as_is");
  });

  it("is told apart from a client's filter, and found by its most selective term", () => {
    const [open, room] = [{ open: true }, { room: "1" }].map((where) => parseFilter(where, "where"));
    const ids = [
      documentFilter(mine),
      documentFilter(undefined, mine),
      documentFilter(mine, mine),
      documentFilter(mine, room),
      documentFilter(room, mine),
    ].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(documentFilter(open, mine).term).toMatchObject({ path: ["owner"], withHidden: true });
    const term = documentFilter(room, open).term;
    expect(term).toMatchObject({ path: ["room"] });
    expect(term?.withHidden).toBeUndefined();
  });
});
