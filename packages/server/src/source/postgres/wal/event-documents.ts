import type { ChangeType, DocumentChange, JsonText } from "@paperdb/protocol";
import type { RowEncoder } from "./row-encoder.ts";
import type { Tuple } from "./tuple.ts";

/** What a change says about its document. */
export type Documents = Omit<DocumentChange, "type" | "documentId">;

/** What a change says about its document, before and after, hidden columns apart. */
export function documentsOf(
  type: ChangeType,
  encoder: RowEncoder,
  row: Tuple,
  old: Tuple | undefined,
): Documents {
  const documents =
    type === "update" && old !== undefined
      ? encoder.documents(row, old)
      : { document: encoder.document(row, old) };
  const hidden = encoder.hidden(row, old);
  if (hidden === undefined) return documents;
  if (type === "delete") return { ...documents, priorHidden: hidden };
  const priorHidden = type === "update" && old !== undefined ? encoder.hidden(old) : undefined;
  return { ...documents, hidden, ...(priorHidden === undefined ? {} : { priorHidden }) };
}

/** Whether none of them is larger. */
export function areWithin({ document, prior, hidden, priorHidden }: Documents, maxBytes: number): boolean {
  if (isLongerThan(document, maxBytes)) return false;
  if (prior !== undefined && prior !== document && isLongerThan(prior, maxBytes)) return false;
  if (hidden !== undefined && isLongerThan(hidden, maxBytes)) return false;
  return priorHidden === undefined || !isLongerThan(priorHidden, maxBytes);
}

/** A code unit of UTF-16 has at most three bytes in UTF-8. */
function isLongerThan(text: JsonText, maxBytes: number): boolean {
  return text.length > maxBytes || (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes);
}
