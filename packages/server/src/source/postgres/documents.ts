import type { DocumentChange, JsonText } from "@paperdb/protocol";
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

/**
 * A row as clients see it.
 *
 * @returns undefined when it does not have all the columns that are hidden: one may have another name since the
 *   catalog was read, under which it would be shown.
 */
export function visibleJson(row: string, hidden: CapturedTable["hidden"]): JsonText | undefined {
  let left = hidden.size;
  const json = documentJson(row, {
    size: hidden.size,
    has: (column) => {
      const isHidden = hidden.has(column);
      if (isHidden) left -= 1;
      return isHidden;
    },
  });
  return left === 0 ? json : undefined;
}

/** What a change says about its document, before and after, hidden columns apart; undefined as {@link visibleJson}. */
export function documentsOf(
  { kind, body, prior }: CaptureMessage,
  { hidden, virtualColumns }: CapturedTable,
): Omit<DocumentChange, "type" | "documentId"> | undefined {
  const document = visibleJson(body, hidden);
  const visiblePrior = prior === undefined ? undefined : visibleJson(prior, hidden);
  if (document === undefined || (visiblePrior === undefined && prior !== undefined)) return undefined;
  const documents = visiblePrior === undefined ? { document } : { document, prior: visiblePrior };
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
