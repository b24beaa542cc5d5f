import type { Pool } from "pg";

/** The first version that can publish generated columns, as `server_version_num`. */
const WITH_GENERATED_COLUMNS = 180_000;

/**
 * The tables of which all changes are streamed, with whole rows of before, by their oids; each with a text that is another
 * one if that was not so for a while: the table was taken out and put back, or the publication had other options.
 */
export type Enrollment = ReadonlyMap<number, string>;

/** How a publication publishes. */
export interface PublicationOptions {
  readonly all_tables: boolean;
  /** Each kind of change. */
  readonly complete: boolean;
  readonly by_root: boolean;
  /** Stored generated columns too. */
  readonly generated: boolean;
}

/** A publication as it was at one moment. */
export interface PublicationContents {
  /** Undefined when there is none. */
  readonly options: PublicationOptions | undefined;
  readonly enrollment: Enrollment;
  /** Tables of which PostgreSQL refuses every update, as SQL has their names, see `Publication.withdraw`. */
  readonly unwritable: readonly string[];
}

/** Neither a row filter nor a column list, which PostgreSQL 14 does not have; of `pg_publication_rel` as r. */
export const IS_WHOLE =
  "coalesce(pg_catalog.to_jsonb(r) ->> 'prqual', pg_catalog.to_jsonb(r) ->> 'prattrs') is null";

const ENROLLED = `
with recursive tree(root, oid) as (
  select r.prrelid, r.prrelid from pg_catalog.pg_publication_rel r
  join pg_catalog.pg_publication p on p.oid = r.prpubid where p.pubname = $1
  union all
  select t.root, i.inhrelid from tree t join pg_catalog.pg_class c on c.oid = t.oid and c.relkind = 'p'
  join pg_catalog.pg_inherits i on i.inhparent = t.oid
)
select r.prrelid::pg_catalog.int8 as oid, p.oid || '.' || p.xmin || '.' || r.oid as id
from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p on p.oid = r.prpubid
where p.pubname = $1 and ${IS_WHOLE} and r.prrelid not in (
  select t.root from tree t join pg_catalog.pg_class c on c.oid = t.oid
  where c.relkind = 'r' and c.relreplident <> 'f')`;

const UNWRITABLE = `
select pg_catalog.format('%I.%I', n.nspname, c.relname) as shown
from pg_catalog.pg_publication_rel r
join pg_catalog.pg_publication p on p.oid = r.prpubid
join pg_catalog.pg_class c on c.oid = r.prrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where p.pubname = $1
  and exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attgenerated = 'v')`;

const optionsSql = (version: number): string => `
select puballtables as all_tables, pubinsert and pubupdate and pubdelete and pubtruncate as complete,
  pubviaroot as by_root, ${publishesGenerated(version) ? "pubgencols = 's'" : "false"} as generated
from pg_catalog.pg_publication where pubname = $1`;

/** @param version - `server_version_num`. */
export function publishesGenerated(version: number): boolean {
  return version >= WITH_GENERATED_COLUMNS;
}

/** What of a publication is streamed completely. */
export async function fetchEnrollment(
  database: Pick<Pool, "query">,
  publication: string,
): Promise<Enrollment> {
  const result = await database.query<{ oid: string; id: string }>(ENROLLED, [publication]);
  return new Map(result.rows.map(({ oid, id }) => [Number(oid), id]));
}

/** Undefined when there is no such publication. */
export async function fetchOptions(
  database: Pick<Pool, "query">,
  publication: string,
  version: number,
): Promise<PublicationOptions | undefined> {
  const result = await database.query<PublicationOptions>(optionsSql(version), [publication]);
  return result.rows[0];
}

/** All of it at once. */
export async function fetchContents(
  database: Pick<Pool, "query">,
  publication: string,
  version: number,
): Promise<PublicationContents> {
  const unwritable = publishesGenerated(version)
    ? `(select pg_catalog.json_agg(u.shown) from (${UNWRITABLE}) u)`
    : "null";
  const result = await database.query<{
    options: PublicationOptions | null;
    enrolled: readonly (readonly [oid: number, id: string])[] | null;
    unwritable: readonly string[] | null;
  }>({
    // Asked often, so it is planned once.
    name: "paperdb publication",
    text: `select (select pg_catalog.row_to_json(o) from (${optionsSql(version)}) o) as options,
      (select pg_catalog.json_agg(pg_catalog.json_build_array(e.oid, e.id)) from (${ENROLLED}) e) as enrolled,
      ${unwritable} as unwritable`,
    values: [publication],
  });
  const [row] = result.rows;
  return {
    options: row?.options ?? undefined,
    enrollment: new Map(row?.enrolled),
    unwritable: row?.unwritable ?? [],
  };
}
