import { DatabaseError } from "pg";
import type { Pool } from "pg";
import type { Logger } from "pino";
import type { DatabasePool } from "../database-pool.ts";
import { parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import type { SystemIdentity } from "./replication-connection.ts";
import type { WalSettings } from "./settings.ts";
import { SlotCreation } from "./slot-creation.ts";
import { inUse, SlotUnavailableError } from "./slot-errors.ts";
import { SlotGenerations } from "./slot-generations.ts";

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
  /** From where it was confirmed to the end of the log. */
  readonly lagBytes: number;
  /** Of the log, for it: more than it lags where a transaction has been open for long. */
  readonly keptBytes: number;
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

interface StatusRow {
  readonly walStatus: string;
  readonly lagBytes: string;
  readonly keptBytes: string;
  /** Negative without a bound. */
  readonly maxKeptBytes: number;
}

const UNDEFINED_OBJECT = "42704";
const OBJECT_IN_USE = "55006";

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
  readonly #generations: SlotGenerations;
  readonly #creation: SlotCreation;
  readonly #log: Logger;

  constructor(
    name: string,
    database: DatabasePool,
    settings: Pick<WalSettings, "slotTimeoutMs">,
    log: Logger,
  ) {
    this.name = name;
    this.#database = database;
    this.#generations = new SlotGenerations(name, database);
    this.#creation = new SlotCreation(name, database, settings);
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
      const generation = await this.#generations.next(identity);
      await this.#creation.create(onWaiting);
      this.#log.info({ slot: this.name, generation }, "Created the replication slot");
    } else if (identity.endLsn < reachedLsn) {
      const generation = await this.#generations.next(identity);
      this.#log.warn({ slot: this.name, generation }, "The database has gone back to an earlier state");
    } else if (!(await this.#generations.isAsTold(slot.confirmed))) {
      const generation = await this.#generations.next(identity);
      this.#log.warn(
        { slot: this.name, generation },
        "The replication slot was made again, or moved on, by somebody else",
      );
    }
    return this.#begin(identity);
  }

  async #begin(identity: SystemIdentity): Promise<ReadySlot> {
    const generation = await this.#generations.use(identity);
    const slot = await this.#fetch();
    if (slot?.confirmed === null || slot === undefined) {
      throw new SlotUnavailableError(`The replication slot "${this.name}" was just dropped.`);
    }
    const confirmedLsn = parseLsn(slot.confirmed);
    await this.recordConfirmedAtMost(confirmedLsn);
    const clockAheadMs = Date.now() - slot.now_ms;
    return { ...identity, generation, confirmedLsn, clockAheadMs, isLost: this.#generations.takeLost() };
  }

  /** Before the slot is told to move on: it does not get further than this by us. */
  async recordConfirmedAtMost(lsn: Lsn): Promise<void> {
    await this.#generations.recordConfirmedAtMost(lsn);
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
    const result = await this.#database.pool.query<StatusRow>({
      name: "paperdb slot",
      text: `select coalesce(wal_status, 'lost') as "walStatus",
         coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), confirmed_flush_lsn), 0)::text as "lagBytes",
         coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn), 0)::text as "keptBytes",
         pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_slot_wal_keep_size'))::pg_catalog.float8 as "maxKeptBytes"
       from pg_catalog.pg_replication_slots where slot_name = $1`,
      values: [this.name],
    });
    const [row] = result.rows;
    if (row === undefined) return undefined;
    const { walStatus, lagBytes, keptBytes, maxKeptBytes } = row;
    return {
      walStatus,
      lagBytes: Math.max(0, Number(lagBytes)),
      keptBytes: Math.max(0, Number(keptBytes)),
      maxKeptBytes: maxKeptBytes < 0 ? undefined : maxKeptBytes,
    };
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

  #requireOurs({ ours, plugin, database }: SlotRow): void {
    if (ours) return;
    throw new SlotUnavailableError(
      `The replication slot "${this.name}" is of another program (plugin "${plugin}", database "${database}"): set another "slot" for this source.`,
    );
  }
}
