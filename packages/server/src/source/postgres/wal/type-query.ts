import type { Pool } from "pg";
import type { RelationColumn } from "./relation.ts";

/** A type as the catalog has it. */
export interface CatalogType {
  readonly oid: number;
  /** `typtype`: b base, c composite, d domain, e enum, r range, m multirange, p pseudo. */
  readonly kind: string;
  readonly shown: string;
  /** Of a domain. */
  readonly base: number;
  /** Of a true array: its element type and what stands between elements; else 0. */
  readonly element: number;
  readonly delimiter: string;
  /** Of a composite type: its attributes with their types. */
  readonly fields: readonly (readonly [name: string, type: number])[] | null;
  /** The source of the function of a cast to json, which `row_to_json` uses; and of one to text. */
  readonly json_cast: string | null;
  readonly text_cast: string | null;
}

// The types asked for and all that they are made of. A type is a true array as get_element_type() says.
const TYPES = `
with recursive needed(oid) as (
  select pg_catalog.unnest($1::pg_catalog.oid[])
  union
  select part.oid
  from needed n
  join pg_catalog.pg_type t on t.oid = n.oid
  cross join lateral (
    select t.typbasetype as oid where t.typtype = 'd'
    union all
    select t.typelem where t.typelem <> 0 and t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc
    union all
    select a.atttypid from pg_catalog.pg_attribute a
    where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  ) part
)
select t.oid::pg_catalog.int8::pg_catalog.float8 as oid, t.typtype::text as kind, pg_catalog.format_type(t.oid, null) as shown,
  t.typbasetype::pg_catalog.int8::pg_catalog.float8 as base,
  coalesce(e.oid, 0)::pg_catalog.int8::pg_catalog.float8 as element, coalesce(e.typdelim::text, ',') as delimiter,
  (select pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::pg_catalog.int8) order by a.attnum)
    from pg_catalog.pg_attribute a
    where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) as fields,
  (select f.prosrc from pg_catalog.pg_cast c join pg_catalog.pg_proc f on f.oid = c.castfunc
    where c.castsource = t.oid and c.casttarget = 'pg_catalog.json'::pg_catalog.regtype and c.castmethod = 'f') as json_cast,
  (select f.prosrc from pg_catalog.pg_cast c join pg_catalog.pg_proc f on f.oid = c.castfunc
    where c.castsource = t.oid and c.casttarget = 'pg_catalog.text'::pg_catalog.regtype and c.castmethod = 'f') as text_cast
from needed n
join pg_catalog.pg_type t on t.oid = n.oid
left join pg_catalog.pg_type e
  on e.oid = t.typelem and t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc`;

/** These types and those that they are made of, without such as do not exist any more. */
export async function fetchTypes(
  database: Pick<Pool, "query">,
  oids: readonly number[],
): Promise<readonly CatalogType[]> {
  const result = await database.query<CatalogType>(TYPES, [oids]);
  return result.rows;
}

/** A column of a table as the catalog has it now. */
export interface TableColumn extends RelationColumn {
  /** A generated column that the stream does not have: `virtual` ones ever, `stored` ones before PostgreSQL 18. */
  readonly unsent: "virtual" | "stored" | null;
}

/** The columns of a table as the replication stream will describe them, and those that it will not. */
export async function fetchColumnTypes(
  database: Pick<Pool, "query">,
  table: number,
): Promise<readonly TableColumn[]> {
  const result = await database.query<TableColumn>(
    `select attname as name, atttypid::pg_catalog.int8::pg_catalog.float8 as "typeOid",
       case when attgenerated = 'v' then 'virtual'
         when attgenerated = 's' and pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 180000 then 'stored' end as unsent
     from pg_catalog.pg_attribute
     where attrelid = $1::pg_catalog.oid and attnum > 0 and not attisdropped
     order by attnum`,
    [table],
  );
  return result.rows;
}
