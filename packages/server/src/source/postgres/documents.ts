import type { DocumentChange } from "@paperdb/protocol";
import { documentJson } from "../document-json.ts";
import type { CapturedTable } from "./table.ts";
import type { CaptureMessage } from "./wire.ts";

/** The columns that a document's hidden members leave out, see {@link documentJson}. */
export function allButHidden({
  hidden,
  virtualColumns,
}: Pick<CapturedTable, "hidden" | "virtualColumns">): Pick<ReadonlySet<string>, "has" | "size"> {
  // A trigger shows NULL in virtual columns, which need not be their value.
  return { size: 1, has: (column) => !hidden.has(column) || virtualColumns.includes(column) };
}

/** What a change says about its document, before and after, hidden columns apart. */
export function documentsOf(
  { kind, body, prior }: CaptureMessage,
  { hidden, virtualColumns }: CapturedTable,
): Omit<DocumentChange, "type" | "documentId"> {
  const document = documentJson(body, hidden);
  const documents = prior === undefined ? { document } : { document, prior: documentJson(prior, hidden) };
  if (hidden.size === virtualColumns.length) return documents;
  const others = allButHidden({ hidden, virtualColumns });
  const isDelete = kind === "d";
  const before = isDelete ? body : prior;
  return {
    ...documents,
    ...(isDelete ? {} : { hidden: documentJson(body, others) }),
    ...(before === undefined ? {} : { priorHidden: documentJson(before, others) }),
  };
}
