import { expect } from "vitest";
import type { JsonValue } from "../../packages/server/src/filter/json-value.ts";
import { parseFilter } from "../../packages/server/src/filter/parse-filter.ts";
import { documentFilter } from "../../packages/server/src/hub/document-filter.ts";
import { ParsedDocuments } from "../../packages/server/src/hub/event-documents.ts";
import type { SourceEvent } from "../../packages/server/src/source/change-source.ts";
import { WIDE_LIMITS } from "./filters.ts";
import type { RawFilter } from "./filters.ts";

/** What somebody asks for, and what is granted. */
export interface Viewer {
  readonly tenant: string;
  readonly wanted: RawFilter;
  readonly granted: RawFilter;
}

/** The documents that a client has at the end of a history, by their ids. */
export function viewOf(
  events: readonly SourceEvent[],
  { tenant, wanted, granted }: Viewer,
): ReadonlyMap<string, JsonValue> {
  const filter = documentFilter(conditionOf(wanted), conditionOf(granted));
  const view = new Map<string, JsonValue>();
  for (const event of events) if (event.channel.tenant === tenant) apply(view, event, filter);
  return view;
}

/** What a client makes of what it is sent. An insert is of what it has not, the others are of what it has. */
function apply(
  view: Map<string, JsonValue>,
  event: SourceEvent,
  filter: ReturnType<typeof documentFilter>,
): void {
  const { body } = event;
  if (!("documentId" in body)) throw new Error("That is no change.");
  const sight = filter.sees(event, new ParsedDocuments(event));
  if (sight === "nothing") return;
  const type = sight === "as_is" ? body.type : sight;
  expect(`${type} ${body.documentId} ${String(view.has(body.documentId))}`).toBe(
    `${type} ${body.documentId} ${String(type !== "insert")}`,
  );
  if (type === "delete") view.delete(body.documentId);
  else view.set(body.documentId, JSON.parse(body.document) as JsonValue);
}

function conditionOf(raw: RawFilter): NonNullable<Parameters<typeof documentFilter>[0]> {
  const filter = parseFilter(raw, "where", WIDE_LIMITS);
  return { id: filter.id, terms: [], matches: (document) => filter.matches(document as JsonValue) };
}
