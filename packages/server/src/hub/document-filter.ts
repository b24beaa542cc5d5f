import { compareTerms } from "../filter/equality-terms.ts";
import { withHidden } from "./event-documents.ts";
import type { EventDocuments, EventFilter, FilterTerm, Sight } from "./delivery.ts";
import type { SnapshotDocument, SnapshotNarrowing, SourceEvent } from "../source/change-source.ts";

/** A condition on documents. */
export interface DocumentCondition {
  /** The same for conditions that are true of the same documents. */
  readonly id: string;
  matches(document: unknown): boolean;
  /** Necessary conditions, the most selective one first. */
  readonly terms: readonly FilterTerm[];
  /** How many comparisons it takes at most; 1 where it is left out. */
  readonly comparisons?: number;
}

/**
 * The events of the documents that the conditions are true of: a document that
 * begins to match is an insert, one that ceases to is a delete.
 *
 * @param wanted - the client's condition: it knows what the client may see, and nothing else.
 * @param granted - what the client is granted: it knows hidden fields as well.
 * @param narrowing - both, as databases understand them.
 */
export function documentFilter(
  wanted: DocumentCondition | undefined,
  granted?: DocumentCondition,
  narrowing?: Omit<SnapshotNarrowing, "id">,
): EventFilter {
  const terms = [
    ...(granted?.terms ?? []).map((term) => ({ ...term, withHidden: true })),
    ...(wanted?.terms ?? []),
  ];
  const conditions = { wanted, granted };
  // The ids of conditions are JSON, on one line.
  const id = granted === undefined ? (wanted?.id ?? "") : `${wanted?.id ?? ""}\n${granted.id}`;
  return {
    id,
    term: terms.toSorted(compareTerms)[0],
    comparisons: comparisonsOf(wanted) + comparisonsOf(granted),
    sees: (event, documents) => sightOf(conditions, event, documents),
    documents: {
      matches: (document) => hasDocument(conditions, document),
      narrowing: narrowing === undefined ? undefined : { ...narrowing, id },
    },
  };
}

/**
 * The condition, of documents that have all of the fields it compares: of a table without the column, not even that
 * it is not something is true.
 */
export function requireFields(condition: DocumentCondition, fields: ReadonlySet<string>): DocumentCondition {
  return {
    id: condition.id,
    terms: condition.terms,
    comparisons: comparisonsOf(condition),
    matches: (document) => hasAll(document, fields) && condition.matches(document),
  };
}

function comparisonsOf(condition: DocumentCondition | undefined): number {
  return condition === undefined ? 0 : (condition.comparisons ?? 1);
}

function hasAll(document: unknown, fields: ReadonlySet<string>): boolean {
  if (typeof document !== "object" || document === null) return false;
  for (const field of fields) if (!Object.hasOwn(document, field)) return false;
  return true;
}

interface Conditions {
  readonly wanted: DocumentCondition | undefined;
  readonly granted: DocumentCondition | undefined;
}

function sightOf(conditions: Conditions, { body }: SourceEvent, documents: EventDocuments): Sight {
  if ("topic" in body) return "nothing";
  const matches = matchesNow(conditions, documents);
  if (body.type === "insert") return matches ? "as_is" : "nothing";
  // Without the prior document nobody knows; a client takes an update of what it does not have as an insert.
  if (!isDocument(documents.prior)) return matches ? "as_is" : "nothing";
  const matched = matchedBefore(conditions, documents);
  if (body.type === "delete") return matched ? "as_is" : "nothing";
  if (matches) return matched ? "as_is" : "insert";
  return matched ? "delete" : "nothing";
}

function matchesNow({ wanted, granted }: Conditions, documents: EventDocuments): boolean {
  if (!isDocument(documents.current)) return false;
  if (wanted?.matches(documents.current) === false) return false;
  return granted === undefined || granted.matches(documents.currentWithHidden);
}

function matchedBefore({ wanted, granted }: Conditions, documents: EventDocuments): boolean {
  if (wanted?.matches(documents.prior) === false) return false;
  return granted === undefined || granted.matches(documents.priorWithHidden);
}

function hasDocument({ wanted, granted }: Conditions, { document, hidden }: SnapshotDocument): boolean {
  const visible: unknown = JSON.parse(document);
  if (wanted?.matches(visible) === false) return false;
  return granted === undefined || granted.matches(withHidden(visible, hidden));
}

/** Of what is none, such as the null of a source that does not know it, no condition is true: not even that a field is missing. */
function isDocument(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
