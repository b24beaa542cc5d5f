import type { PoolClient } from "pg";

const SIGNATURE = "paperdb.publish(text, text, jsonb)";

/** The bytes of "publish": servers that start at the same time take turns. */
const LOCK_KEY = "31648729430029160";

/**
 * The body of `paperdb.publish`: it checks what it is given, and a source's mode sends it.
 *
 * @param send - statements that send `body`, the data as text, to subscribers of `topic` of `tenant`.
 */
export function publishFunctionSource(send: string): string {
  return `
declare
  body text := data::text;
begin
  if tenant is null or char_length(tenant) not between 1 and 200 or tenant collate "C" ~ '[\\x01-\\x1f\\x7f]' then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'paperdb.publish: tenant must be 1 to 200 characters without control characters';
  end if;
  if topic is null or char_length(topic) > 256 or topic collate "C" !~ '^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$' then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'paperdb.publish: topic must be at most 256 characters: letters, digits, _ and -, in segments joined by dots';
  end if;
  if data is null then
    raise exception using errcode = 'null_value_not_allowed',
      message = 'paperdb.publish: data must not be NULL', hint = 'For no data, pass ''null''::jsonb.';
  end if;
  if octet_length(body) > 1048576 then
    raise exception using errcode = 'program_limit_exceeded',
      message = format('paperdb.publish: data is %s bytes as JSON, more than the 1048576 that one event may have', octet_length(body));
  end if;${send}
end
`;
}

/** {@link publishFunctionSource} as a statement. Rights that were granted on the function stay. */
export function publishFunctionSql(source: string): string {
  return `create or replace function paperdb.publish(tenant text, topic text, data jsonb) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on
as $paperdb$${source}$paperdb$;`;
}

/** Makes `paperdb.publish` what the mode of this source needs: the one of before may have been another mode's. */
export async function ensurePublishFunction(client: PoolClient, source: string): Promise<void> {
  await client.query("begin");
  await client.query(`select pg_advisory_xact_lock(${LOCK_KEY})`);
  const existing = await client.query<{ prosrc: string }>(
    `select prosrc from pg_proc where oid = to_regprocedure('${SIGNATURE}')`,
  );
  const present = existing.rows[0]?.prosrc;
  if (present !== source) await client.query(publishFunctionSql(source));
  if (present === undefined) await client.query(`revoke all on function ${SIGNATURE} from public`);
  await client.query("commit");
}
