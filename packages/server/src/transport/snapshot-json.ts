import type { SnapshotDocument } from "../source/change-source.ts";

/**
 * The members of a snapshot's message that hold documents, for the inside of an object: `"documents":[…],"documentIds":[…]`.
 * The documents are JSON text on one line already: nothing of them is parsed or escaped here.
 */
export function snapshotMembers(documents: readonly SnapshotDocument[]): string {
  const texts = documents.map(({ document }) => document).join();
  const ids = documents.map(({ documentId }) => JSON.stringify(documentId)).join();
  return `"documents":[${texts}],"documentIds":[${ids}]`;
}
