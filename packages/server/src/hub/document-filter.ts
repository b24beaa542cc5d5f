import type { EventDocuments, EventFilter, FilterTerm, Sight } from "./delivery.ts";
import type { SnapshotNarrowing, SourceEvent } from "../source/change-source.ts";

/** A condition on documents. */
export interface DocumentCondition {
  /** The same for conditions that are true of the same documents. */
  readonly id: string;
  matches(document: unknown): boolean;
  /** Necessary conditions, the most selective one first. */
  readonly terms: readonly FilterTerm[];
  /** The condition as databases understand it. */
  readonly narrowing?: SnapshotNarrowing | undefined;
}

/**
 * The events of the documents that a condition is true of: a document that
 * begins to match is an insert, one that ceases to is a delete.
 */
export function documentFilter(condition: DocumentCondition): EventFilter {
  return {
    id: condition.id,
    term: condition.terms[0],
    documents: condition,
    sees: (event, documents) => sightOf(condition, event, documents),
  };
}

function sightOf(condition: DocumentCondition, { body }: SourceEvent, documents: EventDocuments): Sight {
  if ("topic" in body) return "nothing";
  const matches = documents.current !== undefined && condition.matches(documents.current);
  if (body.type === "insert") return matches ? "as_is" : "nothing";
  // Without the prior document nobody knows; a client takes an update of what it does not have as an insert.
  if (documents.prior === undefined) return matches ? "as_is" : "nothing";
  const matched = condition.matches(documents.prior);
  if (body.type === "delete") return matched ? "as_is" : "nothing";
  if (matches) return matched ? "as_is" : "insert";
  return matched ? "delete" : "nothing";
}
