import type { Client } from "pg";

/** What {@link fetchServerFacts} finds out. */
export interface ServerFacts {
  /** As `server_version_num`. */
  readonly version: number;
  readonly shownVersion: string;
  /** The connected role, quoted. */
  readonly user: string;
  /** Whether schema `paperdb` exists and is ours to write, or can be created. */
  readonly mayUseSchema: boolean;
  readonly maxPreparedTransactions: number;
  /** From 0 to 1. */
  readonly queueUsage: number;
  /** The oids of tables that this role may put triggers on. */
  readonly ownedTables: ReadonlySet<number>;
  /** The oids of ordinary tables that others INHERIT. */
  readonly inheritedTables: ReadonlySet<number>;
  /** The oids of tables that this role may read. */
  readonly readableTables: ReadonlySet<number>;
  /** The oids of tables of which row-level security hides rows from this role. */
  readonly securedTables: ReadonlySet<number>;
}

const FACTS = `
select current_setting('server_version_num')::int as "version",
  current_setting('server_version') as "shownVersion",
  quote_ident(current_user) as "user",
  coalesce(
    (select has_schema_privilege(n.oid, 'CREATE') and has_schema_privilege(n.oid, 'USAGE')
     from pg_namespace n where n.nspname = 'paperdb'),
    has_database_privilege(current_database(), 'CREATE')) as "mayUseSchema",
  current_setting('max_prepared_transactions')::int as "maxPreparedTransactions",
  pg_notification_queue_usage() as "queueUsage",
  coalesce((select json_agg(c.oid::bigint) from pg_class c
    where c.relkind in ('r', 'p') and pg_has_role(c.relowner, 'USAGE')), '[]') as "ownedTables",
  coalesce((select json_agg(c.oid::bigint) from pg_class c
    where c.relkind = 'r' and exists (select from pg_inherits i where i.inhparent = c.oid)), '[]') as "inheritedTables",
  coalesce((select json_agg(c.oid::bigint) from pg_class c where c.relkind in ('r', 'p')
    and has_schema_privilege(c.relnamespace, 'USAGE') and has_table_privilege(c.oid, 'SELECT')), '[]') as "readableTables",
  coalesce((select json_agg(c.oid::bigint) from pg_class c
    where c.relkind in ('r', 'p') and row_security_active(c.oid)), '[]') as "securedTables"`;

type Tables = "ownedTables" | "inheritedTables" | "readableTables" | "securedTables";

/** The facts as they arrive: sets are arrays. */
type Row = Omit<ServerFacts, Tables> & Readonly<Record<Tables, readonly number[]>>;

/** Asks a database what `doctor` wants to know of it. */
export async function fetchServerFacts(client: Client): Promise<ServerFacts> {
  const result = await client.query<Row>(FACTS);
  const [row] = result.rows;
  if (row === undefined) throw new Error("The database did not answer.");
  return {
    ...row,
    ownedTables: new Set(row.ownedTables),
    inheritedTables: new Set(row.inheritedTables),
    readableTables: new Set(row.readableTables),
    securedTables: new Set(row.securedTables),
  };
}
