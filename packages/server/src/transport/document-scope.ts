import { parseCursor } from "@paperdb/protocol";
import type { Grant } from "../auth/grant.ts";
import type { Filter } from "../filter/filter.ts";
import type { EventFilter } from "../hub/delivery.ts";
import { documentFilter, requireFields } from "../hub/document-filter.ts";
import type { ChangeSource } from "../source/change-source.ts";

const NO_FIELDS: ReadonlySet<string> = new Set();

/** Which documents of a collection one subscription is about. */
export interface DocumentScope {
  /** The same for scopes of the same documents. */
  readonly id: string;
  /** @param source - that the collection is of. */
  filterOf(source: Pick<ChangeSource, "hasColumns">): EventFilter;
  /** The outermost names of what the grant's filter compares: these may be hidden fields. */
  readonly grantedFields: ReadonlySet<string>;
  /** What cursors received under the grant are known by; empty where all documents are granted. */
  readonly cursorGrants: readonly string[];
}

/**
 * What a client gets of a collection: what it wants, as far as it is granted. Undefined for all documents.
 *
 * @param wanted - the client's own filter.
 */
export function documentScope(
  { filters, cursorGrants }: Pick<Grant, "filters" | "cursorGrants">,
  collection: string,
  wanted: Filter | undefined,
): DocumentScope | undefined {
  const granted = filters?.get(collection);
  if (granted === undefined && wanted === undefined) return undefined;
  const grantedFields = granted?.fields ?? NO_FIELDS;
  const names = cursorGrants?.get(collection) ?? [];
  return {
    id: documentFilter(wanted, granted).id,
    grantedFields,
    cursorGrants: names,
    filterOf: ({ hasColumns = false }) => {
      const applied = hasColumns && granted !== undefined ? requireFields(granted, grantedFields) : granted;
      return { ...documentFilter(wanted, applied, { wanted, granted }), cursorGrant: names[0] };
    },
  };
}

/** Whether a cursor was received under the same grant, as far as it says. Of what is no cursor, the hub tells. */
export function isOfGrant(cursor: string, scope: DocumentScope | undefined): boolean {
  const parsed = parseCursor(cursor);
  if (parsed === undefined) return true;
  const names = scope?.cursorGrants ?? [];
  return parsed.grant === undefined ? names.length === 0 : names.includes(parsed.grant);
}
