import type { Migration } from "../postgres/migrate.ts";

/** The channel on which every change of a key or a tenant is announced, whoever makes it. */
export const GRANTS_CHANNEL = "paperdb_grants";

/** The name of this set in `paperdb.migrations`. */
export const TENANT_MIGRATION_SET = "tenants";

/** Tables of tenants and keys. */
export const TENANT_MIGRATIONS: readonly Migration[] = [
  {
    id: 1,
    sql: `
create table paperdb.tenants (
  id text primary key check (char_length(id) between 1 and 200 and id !~ '[\\u0001-\\u001f\\u007f]'),
  plan text not null check (plan in ('free', 'pro', 'team')),
  created_at timestamptz not null default now()
);
create table paperdb.keys (
  id text primary key,
  tenant_id text not null references paperdb.tenants (id) on update cascade on delete cascade,
  role text not null check (role in ('anon', 'secret')),
  hash bytea not null unique check (octet_length(hash) = 32),
  collections text[],
  created_at timestamptz not null default now()
);
create index keys_tenant_id on paperdb.keys (tenant_id, id);
`,
  },
  {
    id: 2,
    sql: `alter table paperdb.keys add column filters jsonb check (jsonb_typeof(filters) = 'object');`,
  },
];

/** The name of {@link ANNOUNCEMENT_MIGRATIONS}: a set of its own, so that uninstalling takes it back and a start puts it in again. */
export const ANNOUNCEMENT_MIGRATION_SET = "announcements";

/** The functions of {@link ANNOUNCEMENT_MIGRATIONS}. */
export const ANNOUNCEMENT_FUNCTIONS = ["announce_tenant", "announce_key", "announce_all"] as const;

/**
 * Triggers that announce what ends or narrows a grant, also when it is done by
 * hand in psql or by replication (ENABLE ALWAYS).
 */
export const ANNOUNCEMENT_MIGRATIONS: readonly Migration[] = [
  {
    id: 1,
    sql: `
create function paperdb.announce_tenant() returns trigger language plpgsql
  set search_path = pg_catalog, pg_temp as $$
begin
  if TG_OP = 'UPDATE' and NEW.id = OLD.id then
    if NEW.plan <> OLD.plan then
      perform pg_notify('${GRANTS_CHANNEL}', json_build_object('tenant', OLD.id, 'plan', NEW.plan)::text);
    end if;
  else
    perform pg_notify('${GRANTS_CHANNEL}', json_build_object('tenant', OLD.id)::text);
  end if;
  return null;
end $$;
create function paperdb.announce_key() returns trigger language plpgsql
  set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_notify('${GRANTS_CHANNEL}', json_build_object('keyId', OLD.id, 'tenant', OLD.tenant_id)::text);
  return null;
end $$;
create function paperdb.announce_all() returns trigger language plpgsql
  set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_notify('${GRANTS_CHANNEL}', '{"all":true}');
  return null;
end $$;

create trigger announce after update or delete on paperdb.tenants
  for each row execute function paperdb.announce_tenant();
create trigger announce_all after truncate on paperdb.tenants
  for each statement execute function paperdb.announce_all();
create trigger announce after update or delete on paperdb.keys
  for each row execute function paperdb.announce_key();
create trigger announce_all after truncate on paperdb.keys
  for each statement execute function paperdb.announce_all();
alter table paperdb.tenants enable always trigger announce;
alter table paperdb.tenants enable always trigger announce_all;
alter table paperdb.keys enable always trigger announce;
alter table paperdb.keys enable always trigger announce_all;
`,
  },
];
