import { DatabaseError } from "pg";
import type { Pool, PoolClient } from "pg";
import type { Logger } from "pino";
import type { DatabasePool } from "../database-pool.ts";
import { formatLsn, parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import type { SystemIdentity } from "./replication-connection.ts";
import type { WalSettings } from "./settings.ts";

/** A slot that can be streamed from. */
export interface ReadySlot {
  /** Grows whenever positions of before cannot be compared any more. */
  readonly generation: number;
  readonly systemId: string;
  readonly timeline: number;
  /** Nothing before it is streamed. */
  readonly confirmedLsn: Lsn;
  /** How far our clock is ahead of the database's, in ms. */
  readonly clockAheadMs: number;
  /** It was just found that what the one of before kept is gone. */
  readonly isLost: boolean;
}

/** How a slot does. */
export interface SlotStatus {
  /** `reserved`, `extended`, `unreserved` or `lost`. */
  readonly walStatus: string;
  readonly lagBytes: number;
  /** What the database keeps for it at most (`max_slot_wal_keep_size`); undefined without a bound. */
  readonly maxKeptBytes: number | undefined;
}

interface SlotRow {
  readonly plugin: string;
  readonly database: string;
  readonly ours: boolean;
  readonly active: boolean;
  readonly lost: boolean;
  readonly confirmed: string | null;
  readonly now_ms: number;
}

const MEBIBYTE = 1024 * 1024;
/** The longest attempt to make a slot, unless one is configured to be longer. */
const MAX_CREATE_MS = 600_000;
/** How long the answer may take beyond the statement. */
const ANSWER_TIMEOUT_MS = 10_000;

const DUPLICATE_OBJECT = "42710";
const UNDEFINED_OBJECT = "42704";
const QUERY_CANCELED = "57014";
const OBJECT_IN_USE = "55006";

/** The slot cannot be had now; the message says why, and it is tried again. */
export class SlotUnavailableError extends Error {
  override readonly name = "SlotUnavailableError";
}

/** The name where none is configured: the database's oid, since slots of a cluster share their names. */
export async function fetchDefaultSlotName({
  pool,
}: {
  readonly pool: Pick<Pool, "query">;
}): Promise<string> {
  const result = await pool.query<{ name: string }>(
    "select 'paperdb_' || oid as name from pg_catalog.pg_database where datname = current_database()",
  );
  return result.rows[0]?.name ?? "paperdb";
}

/** Sees to it that there is a slot, and knows when it is not the one of before. */
export class SlotKeeper {
  readonly name: string;
  readonly #database: DatabasePool;
  readonly #settings: Pick<WalSettings, "slotTimeoutMs">;
  readonly #log: Logger;
  #generation = 0;
  /** Attempts in a row to make the slot. */
  #attempts = 0;
  #isLost = false;

  constructor(
    name: string,
    database: DatabasePool,
    settings: Pick<WalSettings, "slotTimeoutMs">,
    log: Logger,
  ) {
    this.name = name;
    this.#database = database;
    this.#settings = settings;
    this.#log = log;
  }

  /**
   * Finds the slot, or makes it; one that has lost what it kept is made anew.
   *
   * @param reachedLsn - how far we have come. A database that ends before is one of the past.
   * @param onWaiting - told why it takes time.
   * @throws {SlotUnavailableError} PostgreSQL waits for transactions before it makes one.
   */
  async ensure(
    identity: SystemIdentity,
    reachedLsn: Lsn,
    onWaiting: (reason: string) => void,
  ): Promise<ReadySlot> {
    let slot = await this.#fetch();
    if (slot !== undefined) this.#requireOurs(slot);
    if (slot?.active === true) throw new SlotUnavailableError(inUse(this.name));
    if (slot?.lost === true) {
      await this.drop();
      slot = undefined;
    }
    if (slot === undefined) {
      // Before the slot: whatever happens in between, a new slot never has the generation of a former one.
      const generation = await this.#nextGeneration(identity);
      await this.#create(onWaiting);
      this.#log.info({ slot: this.name, generation }, "Created the replication slot");
    } else if (identity.endLsn < reachedLsn) {
      const generation = await this.#nextGeneration(identity);
      this.#log.warn({ slot: this.name, generation }, "The database has gone back to an earlier state");
    } else if (!(await this.#isAsTold(slot))) {
      const generation = await this.#nextGeneration(identity);
      this.#log.warn(
        { slot: this.name, generation },
        "The replication slot was made again, or moved on, by somebody else",
      );
    }
    return this.#begin(identity);
  }

  async #begin(identity: SystemIdentity): Promise<ReadySlot> {
    const generation = await this.#readGeneration(identity);
    const slot = await this.#fetch();
    if (slot?.confirmed === null || slot === undefined) {
      throw new SlotUnavailableError(`The replication slot "${this.name}" was just dropped.`);
    }
    this.#generation = generation;
    const confirmedLsn = parseLsn(slot.confirmed);
    await this.recordConfirmedAtMost(confirmedLsn);
    const isLost = this.#isLost;
    this.#isLost = false;
    return { ...identity, generation, confirmedLsn, clockAheadMs: Date.now() - slot.now_ms, isLost };
  }

  /** Before the slot is told to move on: it does not get further than this by us. */
  async recordConfirmedAtMost(lsn: Lsn): Promise<void> {
    await this.#database.pool.query(
      // On disk before the slot is told, whatever the role's setting.
      `update paperdb.wal_slots set confirmed_at_most = greatest(confirmed_at_most, $3::pg_lsn)
       from (select pg_catalog.set_config('synchronous_commit', 'local', true)) as durable
       where name = $1 and generation = $2`,
      [this.name, this.#generation, formatLsn(lsn)],
    );
  }

  /** Drops the slot: the next {@link ensure} makes it anew. */
  async drop(): Promise<void> {
    try {
      await this.#database.pool.query("select pg_catalog.pg_drop_replication_slot($1)", [this.name]);
    } catch (error) {
      const code = error instanceof DatabaseError ? error.code : undefined;
      if (code === OBJECT_IN_USE) throw new SlotUnavailableError(inUse(this.name), { cause: error });
      if (code !== UNDEFINED_OBJECT) throw error;
    }
  }

  /** Undefined while there is no slot. */
  async fetchStatus(): Promise<SlotStatus | undefined> {
    const result = await this.#database.pool.query<{ walStatus: string; lagBytes: string; keptMb: number }>(
      `select coalesce(wal_status, 'lost') as "walStatus",
         coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), confirmed_flush_lsn), 0)::text as "lagBytes",
         (select setting::int from pg_catalog.pg_settings where name = 'max_slot_wal_keep_size') as "keptMb"
       from pg_catalog.pg_replication_slots where slot_name = $1`,
      [this.name],
    );
    const [row] = result.rows;
    if (row === undefined) return undefined;
    const { walStatus, lagBytes, keptMb } = row;
    const maxKeptBytes = keptMb < 0 ? undefined : keptMb * MEBIBYTE;
    return { walStatus, lagBytes: Math.max(0, Number(lagBytes)), maxKeptBytes };
  }

  async #fetch(): Promise<SlotRow | undefined> {
    const result = await this.#database.pool.query<SlotRow>(
      `select coalesce(plugin, '') as plugin, coalesce(database, '') as database,
         coalesce(database = current_database() and plugin = 'pgoutput', false) as ours,
         active, coalesce(wal_status, 'lost') = 'lost' as lost, confirmed_flush_lsn::text as confirmed,
         (extract(epoch from pg_catalog.clock_timestamp()) * 1000)::pg_catalog.float8 as now_ms
       from pg_catalog.pg_replication_slots where slot_name = $1`,
      [this.name],
    );
    return result.rows[0];
  }

  /** Whether it stands where we may have told it to. */
  async #isAsTold({ confirmed }: SlotRow): Promise<boolean> {
    const result = await this.#database.pool.query<{ told: boolean }>(
      "select coalesce($2::pg_lsn <= confirmed_at_most, false) as told from paperdb.wal_slots where name = $1",
      [this.name, confirmed],
    );
    return result.rows[0]?.told === true;
  }

  #requireOurs({ ours, plugin, database }: SlotRow): void {
    if (ours) return;
    throw new SlotUnavailableError(
      `The replication slot "${this.name}" is of another program (plugin "${plugin}", database "${database}"): set another "slot" for this source.`,
    );
  }

  /**
   * Each attempt waits twice as long as the one before: it begins from scratch, so where transactions always overlap none
   * that is shorter than they are would ever succeed.
   */
  async #create(onWaiting: (reason: string) => void): Promise<void> {
    const { slotTimeoutMs } = this.#settings;
    const longestMs = Math.max(slotTimeoutMs, MAX_CREATE_MS);
    const timeoutMs = Math.min(longestMs, slotTimeoutMs * 2 ** this.#attempts);
    this.#attempts += 1;
    onWaiting(await this.#describeWait());
    const timer = setInterval(() => {
      this.#describeWait().then(onWaiting, () => undefined); // Told the next time.
    }, slotTimeoutMs);
    try {
      await this.#database.use((client) => this.#createWithin(client, timeoutMs));
    } finally {
      clearInterval(timer);
    }
    this.#attempts = 0;
  }

  async #createWithin(client: PoolClient, timeoutMs: number): Promise<void> {
    const creation = {
      text: "select pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')",
      values: [this.name],
      query_timeout: timeoutMs + ANSWER_TIMEOUT_MS,
    };
    await client.query(`set statement_timeout = ${String(timeoutMs)}`);
    try {
      await client.query(creation);
    } catch (error) {
      const code = error instanceof DatabaseError ? error.code : undefined;
      if (code === QUERY_CANCELED) {
        throw new SlotUnavailableError(await this.#describeWait(), { cause: error });
      }
      // Another server was faster: it is the same slot.
      if (code !== DUPLICATE_OBJECT) throw error;
    } finally {
      await client.query("reset statement_timeout");
    }
  }

  /** PostgreSQL makes a slot once every transaction that was writing has ended. */
  async #describeWait(): Promise<string> {
    const result = await this.#database.pool.query<{ count: number; pid: number | null; since: Date | null }>(
      `select count(*)::int as count, (array_agg(pid order by xact_start))[1] as pid, min(xact_start) as since
       from pg_catalog.pg_stat_activity where backend_xid is not null and pid <> pg_catalog.pg_backend_pid()`,
    );
    const { count = 0, pid, since } = result.rows[0] ?? {};
    const waiting = `The replication slot "${this.name}" is being created`;
    return count === 0
      ? `${waiting}.`
      : `${waiting}: PostgreSQL waits for ${String(count)} open transactions that write, the oldest of process ${String(pid)} since ${since?.toISOString() ?? "?"}.`;
  }

  async #nextGeneration({ systemId, timeline }: SystemIdentity): Promise<number> {
    const result = await this.#database.pool.query<{ generation: number; used: boolean | null }>(
      `insert into paperdb.wal_slots as s (name, generation, system_id, timeline) values ($1, $2::int + 1, $3, $4)
       on conflict (name) do update set generation = greatest(s.generation, $2::int) + 1,
         system_id = excluded.system_id, timeline = excluded.timeline, confirmed_at_most = null
       returning generation,
         (select former.confirmed_at_most is not null from paperdb.wal_slots former where former.name = $1) as used`,
      [this.name, this.#generation, systemId, timeline],
    );
    const [row] = result.rows;
    if (row?.used === true) this.#isLost = true;
    return row?.generation ?? 1;
  }

  async #readGeneration(identity: SystemIdentity): Promise<number> {
    const result = await this.#database.pool.query<{ generation: number; same: boolean }>(
      "select generation, system_id = $2 and timeline = $3 as same from paperdb.wal_slots where name = $1",
      [this.name, identity.systemId, identity.timeline],
    );
    const [row] = result.rows;
    // A database that was restored or promoted has another history; what it knew of ours may be old.
    return row?.same === true && row.generation >= this.#generation
      ? row.generation
      : this.#nextGeneration(identity);
  }
}

/** What is told while another server streams from the slot. */
export function inUse(slot: string): string {
  return `The replication slot "${slot}" is in use by another server: this one takes over when it ends. To run both, give one of them another "slot".`;
}
