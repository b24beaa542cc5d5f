import type { Pool, PoolClient } from "pg";

/** For `uninstall`, which gives it back. */
const REMEMBER_IDENTITY = `
insert into paperdb.wal_identities (relation, identity, index)
select c.oid, c.relreplident, (select indexrelid from pg_catalog.pg_index where indrelid = c.oid and indisreplident)
from pg_catalog.pg_class c where c.oid = $1::oid
on conflict (relation) do update set identity = excluded.identity, index = excluded.index`;

/** A table, or a partition of it. */
interface Relation {
  readonly oid: string;
  /** Quoted. */
  readonly shown: string;
}

/** Makes a table, or its partitions, tell whole rows of before. The transaction holds a lock on it. */
export async function setIdentityFull(client: PoolClient, tableOid: number): Promise<void> {
  for (const { oid, shown } of await fetchWithoutIdentity(client, tableOid)) {
    await client.query(REMEMBER_IDENTITY, [oid]);
    await client.query(`ALTER TABLE ${shown} REPLICA IDENTITY FULL`);
  }
}

/** The table, or those of its partitions, that have not REPLICA IDENTITY FULL, quoted. */
export async function fetchWithoutIdentity(
  client: Pool | PoolClient,
  oid: number,
): Promise<readonly Relation[]> {
  const result = await client.query<Relation>(
    `with recursive tree(oid) as (
       select $1::oid union all select i.inhrelid from tree t
       join pg_catalog.pg_class c on c.oid = t.oid and c.relkind = 'p'
       join pg_catalog.pg_inherits i on i.inhparent = t.oid
     )
     select c.oid::pg_catalog.int8 as oid, pg_catalog.format('%I.%I', n.nspname, c.relname) as shown
     from tree t join pg_catalog.pg_class c on c.oid = t.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and c.relreplident <> 'f'`,
    [oid],
  );
  return result.rows;
}
