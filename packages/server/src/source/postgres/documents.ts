import type { DocumentChange } from "@paperdb/protocol";
import { documentJson } from "../document-json.ts";
import type { CapturedTable } from "./table.ts";
import type { CaptureMessage } from "./wire.ts";

/** What a change says about its document, before and after, hidden columns apart. */
export function documentsOf(
  { kind, body, prior }: CaptureMessage,
  { hidden, virtualColumns }: CapturedTable,
): Omit<DocumentChange, "type" | "documentId"> {
  const document = documentJson(body, hidden);
  const documents = prior === undefined ? { document } : { document, prior: documentJson(prior, hidden) };
  if (hidden.size === virtualColumns.length) return documents;
  // The trigger shows NULL in virtual columns, which need not be their value.
  const others = { size: 1, has: (column: string) => !hidden.has(column) || virtualColumns.includes(column) };
  const isDelete = kind === "d";
  const before = isDelete ? body : prior;
  return {
    ...documents,
    ...(isDelete ? {} : { hidden: documentJson(body, others) }),
    ...(before === undefined ? {} : { priorHidden: documentJson(before, others) }),
  };
}
