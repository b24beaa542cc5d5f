import { ConfigError } from "./config-error.ts";
import { parseQualifiedName, quoteQualifiedName } from "../postgres/identifier.ts";
import type { ParsedConfig } from "./schema.ts";

type ParsedSource = NonNullable<ParsedConfig["sources"]>[number];

/** One table that is a collection. */
interface TableConfig {
  /** `schema.table`, or a table of `public`. */
  readonly table: string;
  readonly tenantColumn: string;
  /** Columns that are never delivered. */
  readonly hide: readonly string[];
}

/** One collection of MongoDB, under its public name. */
interface MongoCollectionConfig {
  /** Its name in the database. */
  readonly collection: string;
  /** A field, or a path of fields joined by dots. */
  readonly tenantField: string;
  /** Fields or paths that are never delivered. */
  readonly hide: readonly string[];
}

/** How changes of a PostgreSQL database are received. */
type PostgresMode = "notify" | "wal";

/** A PostgreSQL database that changes come from. */
export interface PostgresSourceConfig {
  readonly kind: "postgres";
  /** Unique among the sources. */
  readonly name: string;
  /** A connection URL, or `"embedded"`. */
  readonly url: string;
  readonly mode: PostgresMode;
  /** Mode `wal`: the slot's and the publication's name; undefined: of the database. */
  readonly slot: string | undefined;
  /** Public name → table; undefined: every table that can be a collection. */
  readonly collections: Readonly<Record<string, TableConfig>> | undefined;
}

/** A MongoDB database that changes come from. */
export interface MongoSourceConfig {
  readonly kind: "mongodb";
  /** Unique among the sources. */
  readonly name: string;
  readonly url: string;
  readonly database: string;
  /** Public name → collection; undefined: every collection of the database. */
  readonly collections: Readonly<Record<string, MongoCollectionConfig>> | undefined;
}

/** One database that changes come from. */
export type SourceConfig = PostgresSourceConfig | MongoSourceConfig;

/** The settings that name a database outside `sources`. */
export interface DatabaseUrls {
  readonly databaseUrl: string | undefined;
  readonly mongodbUrl: string | undefined;
}

/** Completes the sources: their names and URLs, and those that there are without being listed. */
export function resolveSources(
  parsed: readonly ParsedSource[] | undefined,
  urls: DatabaseUrls,
  file: string,
): readonly SourceConfig[] {
  const named = new Map<string, number>();
  const sources = withImplied(parsed, urls).map((source, index): SourceConfig => {
    const count = (named.get(source.kind) ?? 0) + 1;
    named.set(source.kind, count);
    const name = source.name ?? (count === 1 ? source.kind : `${source.kind}-${String(count)}`);
    return source.kind === "postgres"
      ? completePostgres(source, name, urls)
      : completeMongo(source, name, urls, `${file}: sources[${String(index)}]`);
  });
  refuseRepeated(
    sources,
    (source) => [source.name],
    file,
    (name) => `the source name "${name}" is there twice`,
  );
  refuseRepeated(
    sources,
    (source) => Object.keys(source.collections ?? {}),
    file,
    (name) => `the collection "${name}" is in two sources`,
  );
  for (const [index, source] of sources.entries()) refuseTwoTenantColumns(source, index, file);
  refuseRepeated(
    sources,
    (source) => [source.kind === "mongodb" ? `${source.url} ${source.database}` : source.url],
    file,
    () => "two sources have the same url",
  );
  return sources;
}

/** A URL makes a source of its kind, unless one is listed; without any source, the embedded database is one. */
function withImplied(
  parsed: readonly ParsedSource[] = [],
  { databaseUrl, mongodbUrl }: DatabaseUrls,
): readonly ParsedSource[] {
  const sources = [...parsed];
  const lacks = (kind: ParsedSource["kind"]): boolean => sources.every((source) => source.kind !== kind);
  if (databaseUrl !== undefined && lacks("postgres")) sources.push({ kind: "postgres" });
  if (mongodbUrl !== undefined && lacks("mongodb")) sources.push({ kind: "mongodb" });
  if (sources.length === 0) sources.push({ kind: "postgres" });
  return sources;
}

function completePostgres(
  source: Extract<ParsedSource, { kind: "postgres" }>,
  name: string,
  { databaseUrl }: DatabaseUrls,
): PostgresSourceConfig {
  const { kind, slot, collections } = source;
  const url = source.url ?? databaseUrl ?? "embedded";
  // A database of the user's may not have the settings that "wal" needs.
  const mode = source.mode ?? (url === "embedded" ? "wal" : "notify");
  return { kind, name, url, mode, slot, collections };
}

function completeMongo(
  source: Extract<ParsedSource, { kind: "mongodb" }>,
  name: string,
  { mongodbUrl }: DatabaseUrls,
  place: string,
): MongoSourceConfig {
  const url = source.url ?? mongodbUrl;
  if (url === undefined) {
    throw new ConfigError(`${place}: names no server: add "url", or set MONGODB_URL.`);
  }
  const database = source.database ?? databaseOf(url);
  if (database === undefined) {
    const at = source.url === undefined ? "The environment variable MONGODB_URL" : `${place}.url`;
    throw new ConfigError(`${at} names no database: add it as the path, as in mongodb://host:27017/app.`);
  }
  return { kind: source.kind, name, url, database, collections: source.collections };
}

/** The path of a connection URL. */
function databaseOf(url: string): string | undefined {
  const [, path = ""] = /^[^/]+\/\/[^/?]+\/([^?]*)/.exec(url) ?? [];
  return path === "" ? undefined : decodeURIComponent(path);
}

/** A table's trigger attributes each row to one tenant. */
function refuseTwoTenantColumns(source: SourceConfig, index: number, file: string): void {
  const columns = new Map<string, string>();
  for (const [name, { table, tenantColumn }] of Object.entries(source.collections ?? {})) {
    const parsed = parseQualifiedName(table);
    const id = parsed === undefined ? table : quoteQualifiedName(parsed);
    const other = columns.get(id);
    if (other !== undefined && other !== tenantColumn) {
      throw new ConfigError(
        `${file}: sources[${String(index)}]: the collection "${name}" takes its tenants from "${tenantColumn}", another one of the same table from "${other}": give both the same tenantColumn.`,
      );
    }
    columns.set(id, tenantColumn);
  }
}

function refuseRepeated(
  sources: readonly SourceConfig[],
  namesOf: (source: SourceConfig) => readonly string[],
  file: string,
  problem: (name: string) => string,
): void {
  const seen = new Set<string>();
  for (const [index, source] of sources.entries()) {
    for (const name of namesOf(source)) {
      if (seen.has(name)) {
        throw new ConfigError(
          `${file}: sources[${String(index)}]: ${problem(name)}: rename or remove one of them.`,
        );
      }
      seen.add(name);
    }
  }
}
