import { RealtimeError } from "@paperdb/protocol";
import type { Pool } from "pg";
import type { DatabasePool } from "../database-pool.ts";
import type { Finding } from "../../finding.ts";
import type { WalSettings } from "./settings.ts";

/** What {@link fetchWalFacts} finds out. */
export interface WalFacts {
  readonly walLevel: string;
  /** The connected role, quoted. */
  readonly user: string;
  readonly mayReplicate: boolean;
  readonly isStandby: boolean;
  readonly hasSlot: boolean;
  readonly slots: number;
  readonly maxSlots: number;
  readonly isStreaming: boolean;
  readonly senders: number;
  readonly maxSenders: number;
  /** In MB; -1: without bound. */
  readonly maxSlotKeepMb: number;
  /** Whether the publication exists and is ours, or can be created. */
  readonly mayPublish: boolean;
  readonly database: string;
  /** Of the slot; null where there is none. */
  readonly walStatus: string | null;
  /** Whether the slot, if there is one, is of pgoutput and this database. */
  readonly isSlotOurs: boolean;
  /** The publication is; it names its tables otherwise. */
  readonly isForAllTables: boolean;
  readonly lagBytes: number;
  readonly keptBytes: number;
}

// Managed databases give the right to replicate by a role of their own.
const FACTS = `
select current_setting('wal_level') as "walLevel", quote_ident(current_user) as "user",
  (select rolsuper or rolreplication from pg_roles where rolname = current_user)
    or coalesce((select pg_has_role(current_user, oid, 'USAGE') from pg_roles where rolname = 'rds_replication'), false)
    as "mayReplicate",
  pg_is_in_recovery() as "isStandby",
  exists (select from pg_replication_slots where slot_name = $1) as "hasSlot",
  (select count(*)::int from pg_replication_slots) as slots,
  current_setting('max_replication_slots')::int as "maxSlots",
  coalesce((select active from pg_replication_slots where slot_name = $1), false) as "isStreaming",
  (select count(*)::int from pg_stat_replication) as senders,
  current_setting('max_wal_senders')::int as "maxSenders",
  (select setting::int from pg_settings where name = 'max_slot_wal_keep_size') as "maxSlotKeepMb",
  coalesce((select pg_has_role(pubowner, 'USAGE') from pg_publication where pubname = $1),
    has_database_privilege(current_database(), 'CREATE')) as "mayPublish",
  quote_ident(current_database()) as "database",
  (select coalesce(wal_status, 'lost') from pg_replication_slots where slot_name = $1) as "walStatus",
  coalesce((select plugin = 'pgoutput' and database = current_database() from pg_replication_slots where slot_name = $1), true)
    as "isSlotOurs",
  coalesce((select puballtables from pg_publication where pubname = $1), false) as "isForAllTables",
  case when pg_is_in_recovery() then 0 else coalesce((select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)
    from pg_replication_slots where slot_name = $1), 0)::float8 end as "lagBytes",
  case when pg_is_in_recovery() then 0 else coalesce((select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)
    from pg_replication_slots where slot_name = $1), 0)::float8 end as "keptBytes"`;

/** Asks a database for all that mode `wal` depends on. */
export async function fetchWalFacts(database: Pick<Pool, "query">, slot: string): Promise<WalFacts> {
  const result = await database.query<WalFacts>(FACTS, [slot]);
  const [row] = result.rows;
  if (row === undefined) throw new Error("The database did not answer.");
  return row;
}

/** What mode `wal` needs and does not find, each with the SQL that mends it; and what it does find. */
export function checkWal(
  facts: WalFacts,
  slot: string,
  { allowUnboundedSlot }: Pick<WalSettings, "allowUnboundedSlot">,
): readonly Finding[] {
  return [
    finding(
      facts.walLevel === "logical",
      "wal_level is logical.",
      `wal_level is "${facts.walLevel}", not "logical".`,
      "Run: ALTER SYSTEM SET wal_level = 'logical'; and restart PostgreSQL.",
    ),
    finding(
      !facts.isStandby,
      "The database is no standby.",
      "The database is a standby.",
      "Give the URL of the primary.",
    ),
    finding(
      facts.mayReplicate,
      `The user ${facts.user} may replicate.`,
      `The user ${facts.user} may not replicate.`,
      `As a superuser, run: ALTER ROLE ${facts.user} REPLICATION; (on Amazon RDS: GRANT rds_replication TO ${facts.user};)`,
    ),
    finding(
      facts.hasSlot || facts.slots < facts.maxSlots,
      "A replication slot is free.",
      `All ${String(facts.maxSlots)} replication slots are taken, and "${slot}" is none of them.`,
      `Drop one that nobody uses (pg_replication_slots), or run: ALTER SYSTEM SET max_replication_slots = ${String(facts.maxSlots + 5)}; and restart PostgreSQL.`,
    ),
    finding(
      facts.isStreaming || facts.senders < facts.maxSenders,
      "A WAL sender is free.",
      `All ${String(facts.maxSenders)} WAL senders are in use.`,
      `Run: ALTER SYSTEM SET max_wal_senders = ${String(facts.maxSenders + 5)}; and restart PostgreSQL.`,
    ),
    finding(
      facts.maxSlotKeepMb >= 0 || allowUnboundedSlot,
      facts.maxSlotKeepMb >= 0
        ? `A slot keeps at most ${String(facts.maxSlotKeepMb)} MB (max_slot_wal_keep_size).`
        : "A slot keeps as much as the disk holds, as wal.allowUnboundedSlot says.",
      "max_slot_wal_keep_size has no bound: while this server is away, its slot could fill the disk.",
      "Run: ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(); or set wal.allowUnboundedSlot.",
    ),
    finding(
      facts.mayPublish,
      "The publication can be set up.",
      `The user ${facts.user} may not set up the publication "${slot}".`,
      `As the database's owner, run: GRANT CREATE ON DATABASE ${facts.database} TO ${facts.user}; (or make it the publication's owner)`,
    ),
  ];
}

/** @throws {RealtimeError} `source_unavailable`: all that is missing, in one sentence each. */
export async function requireWal(
  { pool }: DatabasePool,
  slot: string,
  settings: Pick<WalSettings, "allowUnboundedSlot">,
): Promise<void> {
  const facts = await fetchWalFacts(pool, slot);
  const missing = checkWal(facts, slot, settings).filter(({ level }) => level === "error");
  if (missing.length === 0) return;
  const sentences = missing.map(({ title, fix = "" }) => `${title} ${fix}`);
  throw new RealtimeError(
    "source_unavailable",
    `The database cannot be used in mode "wal": ${sentences.join(" ")} Mode "notify" needs none of this.`,
  );
}

function finding(isRight: boolean, right: string, wrong: string, fix: string): Finding {
  return isRight ? { level: "ok", title: right } : { level: "error", title: wrong, fix };
}
