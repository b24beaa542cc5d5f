import { expect, it } from "vitest";
import { parseFilter } from "../filter/parse-filter.ts";
import { ParsedDocuments } from "../hub/event-documents.ts";
import type { SourceEvent } from "../source/change-source.ts";
import { documentScope } from "./document-scope.ts";

function update(document: object, prior: object): SourceEvent {
  return {
    channel: { tenant: "a", collection: "notes" },
    position: "1",
    committedAtMs: 0,
    body: {
      type: "update",
      documentId: "1",
      document: JSON.stringify(document),
      prior: JSON.stringify(prior),
    },
  };
}

const granted = parseFilter(
  { owner: { $ne: "eve" }, $or: [{ "a.b": { $exists: false } }, { c: 1 }] },
  "filters",
);
const grant = { filters: new Map([["notes", granted]]) };

it.each<readonly [object, object, string]>([
  [{ owner: "ada", a: null, c: null }, { owner: "ada", a: {}, c: 2 }, "as_is"],
  [{ owner: "ada", a: null }, { owner: "ada", a: null, c: 2 }, "delete"],
  [{ owner: "ada", a: null, c: 2 }, { owner: "ada", c: 2 }, "insert"],
  [{ a: null, c: 1 }, { a: null, c: 1 }, "nothing"],
])("grants of a table only rows that have the columns: %j after %j", (document, prior, sight) => {
  const event = update(document, prior);
  const scope = documentScope(grant, "notes", undefined);
  const documents = new ParsedDocuments(event);
  expect(scope?.filterOf({ hasColumns: true }).sees(event, documents)).toBe(sight);
  // Elsewhere a field may be missing.
  expect(scope?.filterOf({}).sees(event, documents)).toBe("as_is");
});

it("lets clients ask for columns that a table does not have", () => {
  const wanted = parseFilter({ title: { $exists: false } }, "where");
  const event = update({ owner: "ada", a: null, c: null }, { owner: "eve", a: null, c: null });
  const filter = documentScope(grant, "notes", wanted)?.filterOf({ hasColumns: true });
  expect(filter?.sees(event, new ParsedDocuments(event))).toBe("insert");
});
