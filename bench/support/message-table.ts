/** Rows of 8 columns, about 250 bytes as JSON: what most benchmarks of the database write. */
export function messageTableSql(table: string): string {
  return `create table ${table} (
    id bigint generated always as identity primary key, tenant_id text not null, seq text not null,
    room uuid default gen_random_uuid(), author text default 'Ada Lovelace', body text, likes int default 0, at timestamptz default now())`;
}

/** One INSERT of the rows numbered from `$1` to `$2`, all of the tenant `bench`. */
export function fillMessagesSql(table: string): string {
  return `insert into ${table} (tenant_id, seq, body) select 'bench', lpad(n::text, 10, '0'),
    'Message ' || n || ': shall we meet at the "Blue Door" at half past nine?' from generate_series($1::int, $2::int) n`;
}
