import type { Migration } from "../../../postgres/migrate.ts";
import { publishFunctionSource } from "../publish-function.ts";
import { PUBLISH_PREFIX } from "./published-message.ts";

/** The name of this history in `paperdb.migrations`. */
export const WAL_SCHEMA_SET = "wal";

/** The slots of this database, each with how often it was made: positions of another generation cannot be compared; and the replica identities that tables had before. */
const SLOTS_AND_IDENTITIES = `
create table paperdb.wal_slots (
  name text primary key,
  generation integer not null,
  system_id text not null,
  timeline integer not null
);
create table paperdb.wal_identities (
  relation oid primary key,
  identity "char" not null,
  index oid
);
`;

/**
 * What a server that starts has to know of the one before: up to where the slot was confirmed at most, so that a slot
 * that was dropped and made again is noticed; and since when each table's changes are in the log, all of one kind.
 */
const HISTORIES = `
alter table paperdb.wal_slots add column confirmed_at_most pg_lsn;
create table paperdb.wal_histories (
  slot text not null,
  collection text not null,
  enrollment oid not null,
  fingerprint text not null,
  since text not null,
  primary key (slot, collection)
);
`;

/** An enrollment is the publication's, and its version, and the table's place in it; what was known of before is reset once. */
const ENROLLMENTS = "alter table paperdb.wal_histories alter column enrollment type text;";

/** The history of this mode's part of schema `paperdb`. */
export const WAL_MIGRATIONS: readonly Migration[] = [
  { id: 1, sql: SLOTS_AND_IDENTITIES },
  { id: 2, sql: HISTORIES },
  { id: 3, sql: ENROLLMENTS },
];

/** The body of `paperdb.publish`: a logical message, which commits, or does not, with its transaction. The stream carries its bytes as they are. */
export const WAL_PUBLISH: string = publishFunctionSource(`
  perform pg_logical_emit_message(true, '${PUBLISH_PREFIX}', convert_to(
    '{"tenant":' || to_json(tenant)::text || ',"topic":' || to_json(topic)::text || ',"data":' || body || '}',
    case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end));`);
