import { ConfigError } from "./config-error.ts";
import { parseQualifiedName, quoteQualifiedName } from "../postgres/identifier.ts";
import type { ParsedConfig } from "./schema.ts";

type ParsedSource = NonNullable<ParsedConfig["sources"]>[number];

/** One table that is a collection. */
interface CollectionConfig {
  /** `schema.table`, or a table of `public`. */
  readonly table: string;
  readonly tenantColumn: string;
  /** Columns that are never delivered. */
  readonly hide: readonly string[];
}

/** One database that changes come from. */
export interface SourceConfig {
  readonly kind: "postgres";
  /** Unique among the sources. */
  readonly name: string;
  /** A connection URL, or `"embedded"`. */
  readonly url: string;
  readonly mode: "notify";
  /** Public name → table; undefined: every table that can be a collection. */
  readonly collections: Readonly<Record<string, CollectionConfig>> | undefined;
}

/** Completes the sources: their names and URLs, and the one that there is by default. */
export function resolveSources(
  parsed: readonly ParsedSource[] | undefined,
  databaseUrl: string | undefined,
  file: string,
): readonly [SourceConfig, ...SourceConfig[]] {
  const [first, ...others] = parsed ?? [{ kind: "postgres" as const, mode: "notify" as const }];
  if (first === undefined) throw new ConfigError(`${file}: sources must not be empty.`);
  const complete = (source: ParsedSource, index: number): SourceConfig => ({
    kind: source.kind,
    name: source.name ?? (index === 0 ? "postgres" : `postgres-${String(index + 1)}`),
    url: source.url ?? databaseUrl ?? "embedded",
    mode: source.mode,
    collections: source.collections,
  });
  const sources = [
    complete(first, 0),
    ...others.map((source, index) => complete(source, index + 1)),
  ] as const;
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
    (source) => [source.url],
    file,
    () => "two sources have the same url",
  );
  return [complete(first, 0), ...sources.slice(1)];
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
