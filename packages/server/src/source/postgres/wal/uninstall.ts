import type { Client } from "pg";
import { escapeIdentifier } from "pg";
import { WAL_SCHEMA_SET } from "./schema.ts";

/** Runs a statement that needs a table's lock, again and again. */
export type Patiently = (sql: string, subject: string) => Promise<void>;

/** Whether a server streams from one of our slots. */
export async function isStreaming(client: Client): Promise<boolean> {
  const slots = await fetchSlots(client);
  return slots.some(({ active }) => active);
}

/**
 * Drops the slots and publications of this database, and gives tables the replica identity back that they had.
 *
 * @returns the slots' names.
 */
export async function uninstallWal(client: Client, patiently: Patiently): Promise<readonly string[]> {
  const slots = await fetchSlots(client);
  const present = slots.filter(({ exists }) => exists);
  // The slot first: it is what keeps the log from being removed.
  for (const { name } of present) {
    await client.query("select pg_catalog.pg_drop_replication_slot($1)", [name]);
  }
  for (const { name } of slots) await client.query(`DROP PUBLICATION IF EXISTS ${escapeIdentifier(name)}`);
  for (const { table, identity } of await fetchIdentities(client)) {
    await patiently(`ALTER TABLE IF EXISTS ${table} REPLICA IDENTITY ${identity}`, table);
  }
  await client.query("DROP TABLE IF EXISTS paperdb.wal_slots, paperdb.wal_identities, paperdb.wal_histories");
  if (await tableExists(client, "paperdb.migrations")) {
    await client.query("DELETE FROM paperdb.migrations WHERE set = $1", [WAL_SCHEMA_SET]);
  }
  return present.map(({ name }) => name);
}

interface SlotRow {
  readonly name: string;
  readonly exists: boolean;
  readonly active: boolean;
}

/** Those that were ever made, and the one of the default name, should somebody have dropped our schema. */
async function fetchSlots(client: Client): Promise<readonly SlotRow[]> {
  const known = (await tableExists(client, "paperdb.wal_slots"))
    ? "select name from paperdb.wal_slots union"
    : "";
  const result = await client.query<SlotRow>(
    `select n.name, s.slot_name is not null as exists, coalesce(s.active, false) as active
     from (${known} select 'paperdb_' || oid from pg_catalog.pg_database where datname = current_database()) n(name)
     left join pg_catalog.pg_replication_slots s
       on s.slot_name = n.name and s.plugin = 'pgoutput' and s.database = current_database()
     order by 1`,
  );
  return result.rows;
}

async function fetchIdentities(
  client: Client,
): Promise<readonly { readonly table: string; readonly identity: string }[]> {
  if (!(await tableExists(client, "paperdb.wal_identities"))) return [];
  const result = await client.query<{ table: string; identity: string }>(
    `select pg_catalog.format('%I.%I', n.nspname, c.relname) as table,
       case i.identity when 'n' then 'NOTHING' when 'i' then coalesce('USING INDEX ' || pg_catalog.quote_ident(x.relname), 'DEFAULT')
         else 'DEFAULT' end as identity
     from paperdb.wal_identities i
     join pg_catalog.pg_class c on c.oid = i.relation and c.relreplident = 'f'
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     left join pg_catalog.pg_index k on k.indexrelid = i.index and k.indrelid = c.oid and k.indimmediate
     left join pg_catalog.pg_class x on x.oid = k.indexrelid`,
  );
  return result.rows;
}

async function tableExists(client: Client, table: string): Promise<boolean> {
  const result = await client.query<{ present: boolean }>("select to_regclass($1) is not null as present", [
    table,
  ]);
  return result.rows[0]?.present === true;
}
