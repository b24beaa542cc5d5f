import { escapeIdentifier } from "pg";

/** A table by its schema and name, both as the catalog has them (unquoted). */
export interface QualifiedName {
  readonly schema: string;
  readonly table: string;
}

/** `"schema"."table"`, safe in SQL whatever the names contain. */
export function quoteQualifiedName(name: QualifiedName): string {
  return `${escapeIdentifier(name.schema)}.${escapeIdentifier(name.table)}`;
}

const PART = String.raw`"(?:[^"]|"")+"|[^".]+`;
const QUALIFIED = new RegExp(`^(?:(${PART})\\.)?(${PART})$`, "su");

/**
 * Reads `table`, `schema.table` or either part in double quotes (needed only
 * for a part that contains a dot or a quote). Case is kept: unlike SQL, nothing
 * is folded to lower case.
 *
 * @returns undefined when the text is none of these.
 */
export function parseQualifiedName(text: string, defaultSchema = "public"): QualifiedName | undefined {
  const match = QUALIFIED.exec(text);
  if (match === null) return undefined;
  const [, schema, table = ""] = match;
  return { schema: schema === undefined ? defaultSchema : unquote(schema), table: unquote(table) };
}

function unquote(part: string): string {
  return part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part;
}
