import type { TestDatabase } from "./postgres.ts";

/** One change that the database committed, as a subscriber should see it. */
export interface CommittedChange {
  /** The place of its transaction in the order of the commits, from 1. */
  readonly transaction: number;
  readonly channel: string;
  /** Type, document id, a value that no other write has, and the size of the row. */
  readonly seen: string;
}

interface AuditRow {
  readonly place: string;
  readonly relation: string;
  readonly before: AuditedRow | null;
  readonly after: AuditedRow | null;
}

interface AuditedRow {
  readonly id: number;
  readonly region: string;
  readonly tenant_id: string | null;
  readonly mark: string;
  readonly size: number;
}

/** The tables that the property test writes: one with a simple key, one partitioned with a composite key. */
export const TABLES = ["plain", "parted"] as const;

/**
 * An independent record of what was committed: ordinary triggers of a user's write
 * an audit table, and each transaction ends by taking its place under a lock that it
 * keeps until it has committed.
 */
export async function createAuditedTables(database: TestDatabase): Promise<void> {
  await database.query(`
    create table audit (seq bigserial primary key, xid xid8 default pg_current_xact_id(),
      relation text, before jsonb, after jsonb);
    create table commit_order (place bigserial primary key, xid xid8 default pg_current_xact_id());
    create table plain (id int primary key, region text, tenant_id text, mark text, body text);
    create table parted (id int, region text, tenant_id text, mark text, body text, primary key (id, region))
      partition by list (region);
    create table parted_n partition of parted for values in ('n');
    create table parted_s partition of parted for values in ('s');
    create function audited() returns trigger language plpgsql as $$ begin
      insert into audit (relation, before, after) values (tg_argv[0],
        case when tg_op <> 'INSERT' then to_jsonb(old) - 'body' || jsonb_build_object('size', octet_length(old.body)) end,
        case when tg_op <> 'DELETE' then to_jsonb(new) - 'body' || jsonb_build_object('size', octet_length(new.body)) end);
      return null; end $$;`);
  for (const table of TABLES) {
    await database.query(
      `create trigger audited after insert or update or delete on ${table} for each row execute function audited('${table}')`,
    );
  }
}

/** The statement that ends every transaction, before its commit. */
export const TAKE_PLACE = "select pg_advisory_xact_lock(7); insert into commit_order default values";

/** How many transactions have committed. */
export async function countCommitted(database: TestDatabase): Promise<number> {
  const result = await database.query<{ place: number }>(
    "select coalesce(max(place), 0)::int as place from commit_order",
  );
  return result.rows[0]?.place ?? 0;
}

/** Everything that was committed, in order, by the rules for subscribers. */
export async function fetchHistory(database: TestDatabase): Promise<readonly CommittedChange[]> {
  const result = await database.query<AuditRow>(
    `select c.place, a.relation, a.before, a.after from audit a join commit_order c using (xid) order by c.place, a.seq`,
  );
  return result.rows.flatMap(({ place, relation, before, after }) => {
    const change = (type: string, row: AuditedRow): CommittedChange => ({
      transaction: Number(place),
      channel: `${relation} ${String(row.tenant_id)}`,
      seen: describe(type, documentId(relation, row), row.mark, row.size),
    });
    const stays =
      before !== null &&
      after !== null &&
      before.tenant_id === after.tenant_id &&
      documentId(relation, before) === documentId(relation, after);
    const changes = stays
      ? [change("update", after)]
      : [
          ...(before === null ? [] : [change("delete", before)]),
          ...(after === null ? [] : [change("insert", after)]),
        ];
    return changes.filter(({ channel }) => !channel.endsWith(" null"));
  });
}

/** A change as one comparable text. */
export function describe(type: string, id: string, mark: string, size: number): string {
  return `${type} ${id} ${mark} ${String(size)}`;
}

function documentId(relation: string, row: AuditedRow): string {
  return relation === "plain" ? String(row.id) : JSON.stringify([row.id, row.region]);
}
