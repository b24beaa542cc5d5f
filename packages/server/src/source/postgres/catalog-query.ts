import type { Client, Pool, PoolClient } from "pg";
import { TRIGGER_NAME_PREFIX } from "./capture-sql.ts";
import type { InstalledTrigger } from "./table.ts";

/** A table as the catalog has it, whether it can be a collection or not. */
export interface CatalogTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** The columns asked for that exist: name → a text that changes with the column. */
  readonly columns: Readonly<Record<string, string>>;
  /** The primary key's columns with their types; null without one. */
  readonly primary_key: readonly (readonly [name: string, type: number])[] | null;
  /** Generated columns that are not stored: a trigger does not see their values. */
  readonly virtual_columns: readonly string[] | null;
  /** Stored generated columns, where the replication stream does not have them. */
  readonly unsent_columns?: readonly string[] | null;
  /** At all levels, each with a text that changes when it is attached anew. */
  readonly partitions: readonly (readonly [oid: number, attached: string])[] | null;
  readonly triggers:
    | readonly (readonly [
        relation: number,
        name: string,
        enabled: string,
        functionName: string,
        sourceMd5: string,
        marker: string | null,
        sendsPrior: boolean,
      ])[]
    | null;
}

/** What was read of the catalog, all at once. */
export interface CatalogReading {
  /**
   * Which transactions were seen, as a text that a database answers only once: as long as it does not change, nothing
   * was committed on its server, so that all that is read of the catalog stays the same.
   */
  readonly revision: string;
  /** Undefined when the revision is the one that was known. */
  readonly tables: readonly CatalogTable[] | undefined;
}

// A server that was restored to an earlier state comes to the same snapshots again, but not since the same start.
const REVISION =
  "pg_catalog.pg_postmaster_start_time()::pg_catalog.text || ' ' || pg_catalog.pg_current_snapshot()::pg_catalog.text";

const MARKER = "pg_catalog.substring(f.prosrc, '-- paperdb ([0-9a-f]{32})')";

// Partitions belong to their parent, so they are no tables of their own here. The names are behind a `select`, so that
// PostgreSQL does not believe that it plans better when it knows them, each time.
const TABLES = `
with recursive tables as (
  select c.oid, n.nspname, c.relname, c.relkind
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'paperdb')
), partitions as (
  select t.oid as root, i.inhrelid as oid, i.xmin::text as attached
  from tables t join pg_catalog.pg_inherits i on i.inhparent = t.oid where t.relkind = 'p'
  union all
  select p.root, i.inhrelid, i.xmin::text from partitions p join pg_catalog.pg_inherits i on i.inhparent = p.oid
), triggers as (
  select coalesce(p.root, t.tgrelid) as root, t.tgrelid, t.tgname, t.tgenabled, f.proname,
    pg_catalog.md5(f.prosrc) as md5, ${MARKER} as marker, t.tgnargs > 0 as prior
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_proc f on f.oid = t.tgfoid
  left join partitions p on p.oid = t.tgrelid
  where pg_catalog.starts_with(t.tgname::text, '${TRIGGER_NAME_PREFIX}')
)
select t.oid::pg_catalog.int8 as oid, t.nspname as schema, t.relname as name,
  coalesce((select json_object_agg(a.attname, a.attnum || ' ' || a.atttypid || ' ' || a.atttypmod)
    from pg_catalog.pg_attribute a
    where a.attrelid = t.oid and a.attname = any((select $1::pg_catalog.name[])::pg_catalog.name[]) and a.attnum > 0 and not a.attisdropped), '{}') as columns,
  (select json_agg(json_build_array(a.attname, a.atttypid::bigint) order by k.place)
    from pg_catalog.pg_index i
    cross join lateral unnest(i.indkey) with ordinality as k(attnum, place)
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = t.oid and i.indisprimary and k.place <= i.indnkeyatts) as primary_key,
  (select json_agg(a.attname order by a.attname)
    from pg_catalog.pg_attrdef d
    join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
    where d.adrelid = t.oid and a.attgenerated = 'v') as virtual_columns,
  (select json_agg(a.attname order by a.attname)
    from pg_catalog.pg_attrdef d
    join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
    where d.adrelid = t.oid and a.attgenerated = 's'
      and pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 180000) as unsent_columns,
  (select json_agg(json_build_array(p.oid::bigint, p.attached) order by p.oid)
    from partitions p where p.root = t.oid) as partitions,
  (select json_agg(json_build_array(g.tgrelid::bigint, g.tgname, g.tgenabled, g.proname, g.md5, g.marker, g.prior)
      order by g.tgrelid, g.tgname)
    from triggers g where g.root = t.oid) as triggers
from tables t`;

// The tables are only looked for when something was committed: a large catalog takes its time.
const READING = `
select seen.revision, case when seen.revision is distinct from $2::pg_catalog.text then (
  select coalesce(pg_catalog.json_agg(found order by found.oid), '[]') from (${TABLES}) found) end as tables
from (select ${REVISION} as revision) seen`;

/**
 * Every table of the database that is not of the system, ours or temporary.
 *
 * @param columns - those that are asked for.
 * @param knownRevision - of a former reading.
 */
export async function fetchCatalog(
  database: Client | Pool | PoolClient,
  columns: readonly string[],
  knownRevision: string | undefined,
): Promise<CatalogReading> {
  const result = await database.query<{ revision: string; tables: readonly CatalogTable[] | null }>({
    text: READING,
    values: [columns, knownRevision],
    // Planned once and not at each look; a connection that is only tried out may be a pooler's, and is left as it was.
    ...(knownRevision === undefined ? {} : { name: "paperdb catalog" }),
  });
  const [row] = result.rows;
  if (row === undefined) throw new Error("The database did not say what tables it has.");
  return { revision: row.revision, tables: row.tables ?? undefined };
}

/** As {@link fetchCatalog}, whatever was known. */
export async function fetchTables(
  database: Client | Pool | PoolClient,
  columns: readonly string[],
): Promise<readonly CatalogTable[]> {
  const { tables = [] } = await fetchCatalog(database, columns, undefined);
  return tables;
}

/** Our triggers on these relations. */
export async function fetchTriggers(
  client: PoolClient,
  relations: readonly number[],
): Promise<readonly InstalledTrigger[]> {
  const result = await client.query<Omit<InstalledTrigger, "relationOid"> & { relationOid: string }>(
    `select t.tgrelid::bigint as "relationOid", t.tgname as name, t.tgenabled = 'A' as always,
       f.proname as "functionName", pg_catalog.md5(f.prosrc) as "sourceMd5", ${MARKER} as marker,
       t.tgnargs > 0 as "sendsPrior"
     from pg_catalog.pg_trigger t join pg_catalog.pg_proc f on f.oid = t.tgfoid
     where t.tgrelid = any($1::oid[]) and pg_catalog.starts_with(t.tgname::text, $2)`,
    [relations, TRIGGER_NAME_PREFIX],
  );
  return result.rows.map((row) => ({ ...row, relationOid: Number(row.relationOid) }));
}
