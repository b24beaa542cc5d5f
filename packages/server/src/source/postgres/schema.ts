import type { Migration } from "../../postgres/migrate.ts";
import { PUBLISH_CHANNEL } from "./channels.ts";
import { publishFunctionSql, publishFunctionSource } from "./publish-function.ts";
import { MAX_INLINE_BYTES, CHUNK_BYTES } from "./wire.ts";

/** The name of this history in `paperdb.migrations`. */
export const SOURCE_SCHEMA_SET = "source";

/** What capture functions call, as GRANT names it. */
export const SEND_SIGNATURE =
  "paperdb.send(text, text, text, text, text, boolean, text, bigint, bigint, bigint)";

/** The body of `paperdb.publish` in mode `notify`. */
export const NOTIFY_PUBLISH: string = publishFunctionSource(`
  if not paperdb.send('${PUBLISH_CHANNEL}', 'p', '0', tenant, topic, false, body, 1048576, 67108864, 1048576) then
    raise exception using errcode = 'program_limit_exceeded',
      message = 'paperdb.publish: the transaction sends more than 64 MiB or an eighth of the notification queue, or the notification queue of the database is more than half full',
      hint = 'Commit in smaller steps, and end sessions that LISTEN inside an open transaction.';
  end if;`);

/**
 * What every table's capture function shares, see `wire.ts` for what it sends. With a
 * superuser's URL, a capture function belongs to its table's owner, so `send` works with
 * the rights of schema `paperdb`'s owner, and sees nothing of the caller's path.
 *
 * The sequence and the bytes sent are kept in a setting that is local to the
 * transaction: a rollback to a savepoint takes it back, with the notifications.
 * The outbox is unlogged: a crash ends every listener, which resets, anyway.
 */
const OUTBOX_AND_SEND = `
create unlogged table paperdb.outbox (
  id bigint generated always as identity primary key,
  sweep_after timestamptz,
  message bytea not null
);
alter table paperdb.outbox alter column message set storage external;

${sendFunctionSql("create", "seq::text")}revoke all on function paperdb.send(text, text, text, text, text, boolean, text, bigint, bigint, bigint) from public;

${publishFunctionSql(NOTIFY_PUBLISH)}
revoke all on function paperdb.publish(text, text, jsonb) from public;
`;

/**
 * @param number - what tells a message from the others, as JSON: an expression.
 */
function sendFunctionSql(create: string, number: string): string {
  return `${create} function paperdb.send(
  channel text, kind text, table_oid text, tenant text, subject text, composite boolean, body text,
  max_body_bytes bigint, max_transaction_bytes bigint, max_chunked_bytes bigint
) returns boolean language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $paperdb$
declare
  state text[] := string_to_array(nullif(current_setting('paperdb.sent', true), ''), ' ');
  seq bigint := coalesce(state[1]::bigint, 0) + 1;
  sent bigint := coalesce(state[2]::bigint, 0);
  message text;
  size bigint;
  bytes bytea;
  chunks integer;
  outbox_id bigint;
  -- A commit fails when the queue is full: one transaction takes an eighth of it at most (8 kB a page; 17 and newer).
  sendable bigint := least(max_transaction_bytes, current_setting('max_notify_queue_pages', true)::bigint * 1024);
begin
  message := '["' || kind || '",' || floor(date_part('epoch', clock_timestamp()) * 1000)::bigint::text || ',' || ${number}
    || ',' || table_oid || ',' || to_json(tenant)::text || ',' || to_json(subject)::text
    || case when composite then ',1]' else ',0]' end || chr(10) || body;
  size := octet_length(message);
  if sent + size > sendable or (seq % 256 = 1 and pg_notification_queue_usage() > 0.5) then
    -- From here on everything of this transaction is lost; one notice for each channel remains, since identical ones are folded.
    perform set_config('paperdb.sent', seq::text || ' ' || max_transaction_bytes::text, true);
    perform pg_notify(channel, '["x",0,0,' || table_oid || ',' || to_json(tenant)::text || ',"",0]');
    return false;
  end if;
  if octet_length(body) > max_body_bytes then
    perform set_config('paperdb.sent', seq::text || ' ' || sent::text, true);
    perform pg_notify(channel, '["x",0,' || seq::text || ',' || table_oid || ',' || to_json(tenant)::text || ',"",0]');
    return false;
  end if;
  perform set_config('paperdb.sent', seq::text || ' ' || (sent + size)::text, true);
  if size <= ${String(MAX_INLINE_BYTES)} and (getdatabaseencoding() <> 'SQL_ASCII' or message !~ '[^\\x01-\\x7f]') then
    perform pg_notify(channel, message);
    return true;
  end if;
  bytes := convert_to(message, case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end);
  if size <= max_chunked_bytes then
    chunks := (octet_length(bytes) + ${String(CHUNK_BYTES - 1)}) / ${String(CHUNK_BYTES)};
    for chunk in 1..chunks loop
      perform pg_notify(channel, '#' || pg_current_xact_id()::text || '.' || seq::text || ':' || chunk::text || ':' || chunks::text
        || ':' || encode(substr(bytes, (chunk - 1) * ${String(CHUNK_BYTES)} + 1, ${String(CHUNK_BYTES)}), 'base64'));
    end loop;
  else
    insert into paperdb.outbox (message) values (bytes) returning id into outbox_id;
    perform pg_notify(channel, '@' || outbox_id::text);
  end if;
  return true;
end
$paperdb$;
`;
}

/** The history of this source's part of schema `paperdb`. */
export const SOURCE_MIGRATIONS: readonly Migration[] = [
  { id: 1, sql: OUTBOX_AND_SEND },
  // Snapshots have to know which transaction a change is of.
  {
    id: 2,
    sql: sendFunctionSql(
      "create or replace",
      "'\"' || pg_current_xact_id()::text || '.' || seq::text || '\"'",
    ),
  },
];
