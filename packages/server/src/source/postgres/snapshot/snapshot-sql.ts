import { escapeIdentifier, escapeLiteral } from "pg";
import type { Filter } from "../../../filter/filter.ts";
import type { SqlTable } from "../../../filter/sql-column.ts";
import { toSql } from "../../../filter/to-sql.ts";
import { quoteQualifiedName } from "../../../postgres/identifier.ts";
import type { SnapshotNarrowing } from "../../change-source.ts";
import type { CapturedTable } from "../table.ts";
import { VALUE_SETTINGS } from "../wal/stream-settings.ts";

/** What the catalog has to say of a table. */
export interface TableFacts {
  /** `r`, or `p` for a partitioned table. */
  readonly kind: string;
  /** By column, the type in `pg_catalog` below its domains; `enum` for those whose JSON is their label; or empty. */
  readonly types: Readonly<Record<string, string>>;
}

/** A row of {@link takeSql}. */
export interface SnapshotFacts extends TableFacts {
  /** What the snapshot sees. */
  readonly seen: string;
  /** The table that the name stands for. */
  readonly oid: string | null;
}

/** Which rows of a table are read. */
export interface RowsWanted {
  readonly tenant: string;
  readonly narrowing: SnapshotNarrowing | undefined;
  /** A larger row is NULL. */
  readonly maxDocumentBytes: number;
  /** The database's, as `getdatabaseencoding()` names it. */
  readonly encoding: string;
}

/** Snapshots of other tables wait for those that wait for a table. */
const LOCK_TIMEOUT_MS = 5_000;

/**
 * The first statement that needs a snapshot takes it for the whole transaction; the lock comes before, so that nobody
 * truncates or rewrites the table in between. Row-level security must not hide rows silently: it makes an error.
 */
export function beginSql({ name }: CapturedTable, timeoutMs: number): string {
  const settings = {
    ...VALUE_SETTINGS,
    xmloption: "content",
    standard_conforming_strings: "on",
    row_security: "off",
    lock_timeout: String(Math.min(timeoutMs, LOCK_TIMEOUT_MS)),
    statement_timeout: String(timeoutMs),
    idle_in_transaction_session_timeout: String(timeoutMs),
  };
  return [
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    ...Object.entries(settings).map(([key, value]) => `SET LOCAL ${key} = ${escapeLiteral(value)}`),
    `LOCK TABLE ${quoteQualifiedName(name)} IN ACCESS SHARE MODE`,
  ].join("; ");
}

/** Takes the snapshot of a table that is locked: asks for {@link SnapshotFacts}; `$1` is the table's oid. */
export function takeSql({ name }: CapturedTable): string {
  return `
with recursive base(attname, oid) as (
  select attname, atttypid from pg_catalog.pg_attribute
  where attrelid = $1::pg_catalog.oid and attnum > 0 and not attisdropped
  union all
  select b.attname, t.typbasetype from base b join pg_catalog.pg_type t on t.oid = b.oid where t.typtype = 'd'
)
select pg_catalog.pg_current_snapshot()::pg_catalog.text as seen,
  pg_catalog.to_regclass(${escapeLiteral(quoteQualifiedName(name))})::pg_catalog.oid::pg_catalog.int8 as oid,
  c.relkind::pg_catalog.text as kind, (
    select pg_catalog.json_object_agg(b.attname, case when t.typtype = 'e' and not exists (
        select from pg_catalog.pg_cast k where k.castsource = t.oid
          and k.casttarget in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.text'::pg_catalog.regtype)
      ) then 'enum'
      when t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace then t.typname else '' end)
    from base b join pg_catalog.pg_type t on t.oid = b.oid where t.typtype <> 'd') as types
from pg_catalog.pg_class c where c.oid = $1::pg_catalog.oid`;
}

/** Sends {@link selectSql} as a binary copy. */
export function copySql(...rows: Parameters<typeof selectSql>): string {
  return `COPY (${selectSql(...rows)}) TO STDOUT (FORMAT binary)`;
}

/** Document ids and rows of a tenant, as the capture functions write them. */
export function selectSql(table: CapturedTable, facts: TableFacts, wanted: RowsWanted): string {
  const columns = table.primaryKey.map(reference);
  const id = columns.length === 1 ? columns.join("") : `json_build_array(${columns.join(", ")})`;
  const tenant = reference(table.tenantColumn);
  const row = escapeIdentifier(ROW);
  const conditions = [
    indexed(tenant, facts.types[table.tenantColumn] ?? "", wanted.tenant),
    ...narrowed(table, facts, wanted),
    `${tenant}::text COLLATE "C" = ${escapeLiteral(wanted.tenant)}`,
  ];
  return `
  SELECT ${id}::text, CASE WHEN octet_length(made.json) <= ${String(wanted.maxDocumentBytes)} THEN made.json END
  FROM ${relation(table, facts.kind)} AS ${row} CROSS JOIN LATERAL (SELECT row_to_json(${row}.*)::text AS json OFFSET 0) AS made
  WHERE ${conditions.filter((condition) => condition !== undefined).join(" AND ")}`;
}

/** Not the name of any column that a table of before it can be mistaken for. */
const ROW = "paperdb row";

/** Tables that inherit from a table are tables of their own, unless they are its partitions. */
function relation(table: CapturedTable, kind: string): string {
  return kind === "p" ? quoteQualifiedName(table.name) : `ONLY ${quoteQualifiedName(table.name)}`;
}

const INTEGER = /^(?:0|-?[1-9]\d{0,18})$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const MAX_INT8 = 2n ** 63n;

function reference(column: string): string {
  return `${escapeIdentifier(ROW)}.${escapeIdentifier(column)}`;
}

/** Conditions that hold for every row that is wanted and granted. */
function narrowed(
  { hidden }: CapturedTable,
  { types }: TableFacts,
  { narrowing, encoding }: RowsWanted,
): readonly string[] {
  const all = Object.entries(types).map(
    ([name, type]) => [name, { reference: reference(name), type }] as const,
  );
  // To a client what is hidden is missing, whatever its value.
  const visible = all.filter(([name]) => !hidden.has(name));
  const conditions = [
    sqlOf(narrowing?.wanted, { columns: new Map(visible), encoding }),
    sqlOf(narrowing?.granted, { columns: new Map(all), encoding }),
  ];
  return conditions.filter((condition) => condition !== undefined);
}

function sqlOf(filter: Filter | undefined, table: SqlTable): string | undefined {
  return filter === undefined ? undefined : toSql(filter, table, escapeLiteral);
}

/** A condition that holds for every row of the tenant, and that an index on its column serves. */
function indexed(column: string, type: string, tenant: string): string | undefined {
  switch (type) {
    case "text":
    case "varchar":
    case "bpchar":
      return `${column} = ${escapeLiteral(tenant)}`;
    case "uuid":
      return UUID.test(tenant) ? `${column} = '${tenant}'::uuid` : "false";
    case "int2":
    case "int4":
    case "int8":
      return isInt8(tenant) ? `${column} = '${tenant}'::int8` : "false";
    default:
      return undefined;
  }
}

function isInt8(text: string): boolean {
  if (!INTEGER.test(text)) return false;
  const value = BigInt(text);
  return value >= -MAX_INT8 && value < MAX_INT8;
}
