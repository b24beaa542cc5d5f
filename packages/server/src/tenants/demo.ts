import type { Pool, PoolClient } from "pg";
import { TenantStore } from "./tenant-store.ts";

/** The tenant that a first start creates. */
export const DEMO_TENANT = "demo";

/** The keys of the demo, shown once. */
export interface Demo {
  readonly tenant: string;
  readonly anonKey: string;
  readonly secretKey: string;
}

const TODOS_SQL = `
create table if not exists public.todos (
  id bigint generated always as identity primary key,
  tenant_id text not null,
  title text not null,
  done boolean not null default false
);
insert into public.todos (tenant_id, title, done)
  select '${DEMO_TENANT}', title, done
  from (values ('Watch this list in a browser', false), ('Change a row with psql', false), ('Start the server', true))
    as first(title, done)
  where not exists (select from public.todos)`;

/** Kept with the migrations, so that a demo that was deleted does not come back. */
const CLAIM_SQL = "insert into paperdb.migrations (set, id) values ($1, 1) on conflict do nothing";

/** The name under which the migrations remember that the demo was made. */
export const DEMO_SET = "demo";

/**
 * Makes the tenant `demo` on plan pro, a table `todos` with a few rows, and two
 * keys: all of it or, when interrupted, nothing. Undefined when this database
 * had its demo before, or somebody else made a tenant of this name.
 */
export async function createDemo(pool: Pool): Promise<Demo | undefined> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const claimed = await client.query(CLAIM_SQL, [DEMO_SET]);
    const demo = claimed.rowCount === 1 ? await fillDatabase(client) : undefined;
    await client.query("commit");
    client.release();
    return demo;
  } catch (error) {
    client.release(true); // Ends its transaction with it.
    throw error;
  }
}

async function fillDatabase(client: PoolClient): Promise<Demo | undefined> {
  const store = new TenantStore(client);
  const taken = await client.query("select 1 from paperdb.tenants where id = $1", [DEMO_TENANT]);
  if (taken.rowCount !== 0) return undefined;
  await client.query(TODOS_SQL);
  await store.createTenant(DEMO_TENANT, "pro");
  const anon = await store.createKey(DEMO_TENANT, "anon");
  const secret = await store.createKey(DEMO_TENANT, "secret");
  return { tenant: DEMO_TENANT, anonKey: anon.key, secretKey: secret.key };
}
