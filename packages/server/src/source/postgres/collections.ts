import type { QualifiedName } from "../../postgres/identifier.ts";
import { parseQualifiedName } from "../../postgres/identifier.ts";
import type { CatalogTable } from "./catalog-query.ts";
import type { CapturedTable } from "./table.ts";

/** One entry of a source's `collections`. */
interface CollectionConfig {
  /** `schema.table`; without schema: `public`. */
  readonly table: string;
  readonly tenantColumn?: string | undefined;
  readonly hide?: readonly string[] | undefined;
}

/** Public name → what it stands for. */
export type CollectionsConfig = Readonly<Record<string, CollectionConfig>>;

/** The tenant column where none is configured. */
const DEFAULT_TENANT_COLUMN = "tenant_id";

/** What the tables of a database are to clients. */
export interface Collections {
  readonly tables: ReadonlyMap<string, CapturedTable>;
  /** Names of tables that are no collections → why, as a sentence. */
  readonly unusable: ReadonlyMap<string, string>;
}

/** The columns whose existence decides what is a collection. */
export function columnsOfInterest(config: CollectionsConfig | undefined): readonly string[] {
  if (config === undefined) return [DEFAULT_TENANT_COLUMN];
  const entries = Object.values(config);
  return [
    ...new Set(
      entries.flatMap((entry) => [entry.tenantColumn ?? DEFAULT_TENANT_COLUMN, ...(entry.hide ?? [])]),
    ),
  ];
}

/** Decides which tables are collections, and under which names. */
export function toCollections(
  catalog: readonly CatalogTable[],
  config: CollectionsConfig | undefined,
): Collections {
  return config === undefined ? byConvention(catalog) : byConfig(catalog, config);
}

/** The public name of a table where none is configured: bare in `public`, else `schema.table`. */
function publicName(name: QualifiedName): string {
  return name.schema === "public" ? name.table : `${name.schema}.${name.table}`;
}

function byConvention(catalog: readonly CatalogTable[]): Collections {
  const tables = new Map<string, CapturedTable>();
  const unusable = new Map<string, string>();
  for (const entry of catalog) {
    const collection = publicName({ schema: entry.schema, table: entry.name });
    const problem = whyUnusable(entry, DEFAULT_TENANT_COLUMN, []);
    if (problem !== undefined) {
      unusable.set(collection, problem);
    } else if (tables.has(collection)) {
      // "a.b" in public and "b" in a: neither may stand for the other.
      tables.delete(collection);
      unusable.set(
        collection,
        `Two tables are named "${collection}": name one of them in the configuration.`,
      );
    } else if (!unusable.get(collection)?.startsWith("Two tables")) {
      tables.set(collection, toTable(collection, entry, DEFAULT_TENANT_COLUMN, []));
    }
  }
  return { tables, unusable };
}

function byConfig(catalog: readonly CatalogTable[], config: CollectionsConfig): Collections {
  const tables = new Map<string, CapturedTable>();
  const unusable = new Map<string, string>();
  for (const [collection, { table, tenantColumn = DEFAULT_TENANT_COLUMN, hide = [] }] of Object.entries(
    config,
  )) {
    const name = parseQualifiedName(table);
    const entry = catalog.find((row) => row.schema === name?.schema && row.name === name.table);
    const problem =
      entry === undefined
        ? `The table "${table}" of collection "${collection}" does not exist: create it, or correct its name.`
        : whyUnusable(entry, tenantColumn, hide);
    if (problem !== undefined) unusable.set(collection, problem);
    else if (entry !== undefined) tables.set(collection, toTable(collection, entry, tenantColumn, hide));
  }
  return { tables, unusable };
}

function whyUnusable(entry: CatalogTable, tenantColumn: string, hide: readonly string[]): string | undefined {
  const shown = `"${entry.schema}.${entry.name}"`;
  if (!Object.hasOwn(entry.columns, tenantColumn)) {
    return `The table ${shown} has no ${tenantColumn} column, so its rows belong to no tenant: add one, or configure tenantColumn.`;
  }
  if (entry.primary_key === null) {
    return `The table ${shown} has no primary key, so its rows have no document id: add a primary key.`;
  }
  const missing = hide.find((column) => !Object.hasOwn(entry.columns, column));
  return missing === undefined
    ? undefined
    : `The table ${shown} has no ${missing} column to hide: correct "hide" in the configuration.`;
}

function toTable(
  collection: string,
  entry: CatalogTable,
  tenantColumn: string,
  hide: readonly string[],
): CapturedTable {
  const { oid, schema, name, primary_key: primaryKey } = entry;
  return {
    collection,
    oid,
    name: { schema, table: name },
    tenantColumn,
    primaryKey: (primaryKey ?? []).map(([column]) => column),
    // The trigger would show NULL in a virtual column, which may not be its value.
    hidden: new Set([...hide, ...(entry.virtual_columns ?? [])]),
    virtualColumns: entry.virtual_columns ?? [],
    unsentColumns: entry.unsent_columns ?? [],
    shape: JSON.stringify([oid, schema, name, tenantColumn, entry.columns[tenantColumn], primaryKey]),
    partitions: (entry.partitions ?? []).map(([partition]) => partition),
    attachments: JSON.stringify(entry.partitions ?? []),
    triggers: (entry.triggers ?? []).map(
      ([relationOid, trigger, enabled, functionName, sourceMd5, marker, sendsPrior]) => ({
        relationOid,
        name: trigger,
        always: enabled === "A",
        functionName,
        sourceMd5,
        marker,
        sendsPrior,
      }),
    ),
  };
}
