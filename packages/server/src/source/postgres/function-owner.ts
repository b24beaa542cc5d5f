import type { Pool, PoolClient } from "pg";
import { inInstallation } from "./installation.ts";
import { SEND_SIGNATURE } from "./schema.ts";

/** Capture functions whose table belongs to someone else, where we may give them away. */
const STRAYS = `
select pg_catalog.format('paperdb.%I()', p.proname) as function, pg_catalog.quote_ident(o.rolname) as owner
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname = 'paperdb'
join pg_catalog.pg_class c on c.oid = pg_catalog.substring(p.proname, '^capture_([0-9]+)$')::oid
join pg_catalog.pg_roles o on o.oid = c.relowner
where p.proowner <> c.relowner and (select rolsuper from pg_catalog.pg_roles where rolname = current_user)`;

/** Roles that once had a capture function, and still have the rights that it needed. */
const FORMER_OWNERS = `
select pg_catalog.quote_ident(r.rolname) as role,
  pg_catalog.has_function_privilege(r.oid, pg_catalog.to_regprocedure('paperdb.publish(text, text, jsonb)'), 'EXECUTE') as publishes
from pg_catalog.pg_proc s cross join lateral pg_catalog.aclexplode(s.proacl) a
join pg_catalog.pg_roles r on r.oid = a.grantee
where s.oid = pg_catalog.to_regprocedure('${SEND_SIGNATURE}') and r.oid <> s.proowner
  and not exists (select from pg_catalog.pg_proc p
    where p.pronamespace = s.pronamespace and p.proowner = r.oid and p.proname ~ '^capture_[0-9]+$')`;

/**
 * Gives each capture function to the owner of its table, where we are a superuser:
 * casts of the owner's types run in it, and must not run with our rights.
 *
 * @param client - inside a transaction that holds the lock of installations.
 */
export async function handToOwners(client: PoolClient): Promise<void> {
  const strays = await client.query<{ function: string; owner: string }>(STRAYS);
  for (const { function: capture, owner } of strays.rows) {
    await client.query(`GRANT USAGE ON SCHEMA paperdb TO ${owner}`);
    await client.query(`GRANT EXECUTE ON FUNCTION ${SEND_SIGNATURE} TO ${owner}`);
    await client.query(`ALTER FUNCTION ${capture} OWNER TO ${owner}`);
  }
  const former = await client.query<{ role: string; publishes: boolean | null }>(FORMER_OWNERS);
  for (const { role, publishes } of former.rows) {
    await client.query(`REVOKE EXECUTE ON FUNCTION ${SEND_SIGNATURE} FROM ${role}`);
    // The application may have been given the schema for `paperdb.publish`.
    if (publishes !== true) await client.query(`REVOKE USAGE ON SCHEMA paperdb FROM ${role}`);
  }
}

/** The same for all tables, watched or not: an owner may have changed, or gone. */
export async function followOwners(pool: Pool, lockTimeoutMs: number): Promise<void> {
  const result = await pool.query<{ due: boolean }>(
    `select exists (${STRAYS}) or exists (${FORMER_OWNERS}) as due`,
  );
  if (result.rows[0]?.due === true) await inInstallation(pool, lockTimeoutMs, handToOwners);
}
