import type { FieldPath } from "./field-path.ts";
import type { Filter } from "./filter.ts";
import type { FilterNode, InNode, RangeNode } from "./filter-node.ts";

/** A query, as `find` and `$match` take it. */
export type MongoQuery = Readonly<Record<string, unknown>>;

/** What is stored where a certain JSON value is delivered. */
export interface StoredForms {
  /** Values that find every such value by equality, across the types that compare as equal. */
  readonly values: readonly unknown[];
  /** Types, as `$type` names them, of which any value may be one. */
  readonly types: readonly string[];
}

/** Knows which BSON becomes a JSON value. */
export type FormsOf = (value: string | number | boolean) => StoredForms;

const INDEX = /^\d+$/;
/** Members that BSON types have once they are JSON, and do not have in the database. */
const MADE_MEMBERS: ReadonlySet<string> = new Set(["t", "i", "pattern", "options", "code", "scope"]);

/**
 * A query that matches every document whose delivered JSON matches the filter, and
 * perhaps others: it saves reading, it does not decide.
 *
 * @returns undefined when nothing can be saved.
 */
export function toMongo(filter: Filter, formsOf: FormsOf): MongoQuery | undefined {
  return translate(filter.node, formsOf);
}

function translate(node: FilterNode, formsOf: FormsOf): MongoQuery | undefined {
  switch (node.kind) {
    case "and": {
      const queries = node.nodes
        .map((inner) => translate(inner, formsOf))
        .filter((query) => query !== undefined);
      return queries.length > 1 ? { $and: queries } : queries[0];
    }
    case "or": {
      const queries = node.nodes
        .map((inner) => translate(inner, formsOf))
        .filter((query) => query !== undefined);
      return queries.length < node.nodes.length ? undefined : { $or: queries };
    }
    case "not":
      return undefined;
    case "exists":
      return isStoredPath(node.path) ? on(node.path, { $exists: true }) : undefined;
    case "range":
      return isStoredPath(node.path) ? range(node, formsOf) : undefined;
    case "in":
      return isStoredPath(node.path) ? equality(node, formsOf) : undefined;
  }
}

/** Several BSON types become null, and the order of members matters to MongoDB: these are left to the JSON. */
function equality({ path, values }: InNode, formsOf: FormsOf): MongoQuery | undefined {
  const forms: StoredForms[] = [];
  for (const value of values) {
    if (typeof value === "object") return undefined;
    forms.push(formsOf(value));
  }
  const equal = on(path, { $in: forms.flatMap((form) => form.values) });
  const types = [...new Set(forms.flatMap((form) => form.types))];
  return types.length === 0 ? equal : { $or: [equal, on(path, { $type: types })] };
}

/** Numbers are in order whatever their types; strings stand for values of many types, which are not. */
function range({ path, operator, bound }: RangeNode, formsOf: FormsOf): MongoQuery | undefined {
  if (typeof bound === "string") return undefined;
  const queries = formsOf(bound).values.map((value) => on(path, { [operator]: value }));
  return queries.length > 1 ? { $or: queries } : queries[0];
}

function isStoredPath(path: FieldPath): boolean {
  return path.every(
    (name, place) => !INDEX.test(name) && !name.startsWith("$") && (place === 0 || !MADE_MEMBERS.has(name)),
  );
}

/** Whatever the field is called, it becomes an own property. */
function on(path: FieldPath, condition: MongoQuery): MongoQuery {
  return Object.fromEntries([[path.join("."), condition]]);
}
