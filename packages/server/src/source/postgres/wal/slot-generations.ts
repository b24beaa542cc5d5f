import type { DatabasePool } from "../database-pool.ts";
import { formatLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import type { SystemIdentity } from "./replication-connection.ts";

/** What is kept in the database of each slot: how often it was made, and up to where it may have been told to move on. */
export class SlotGenerations {
  readonly #name: string;
  readonly #database: DatabasePool;
  #current = 0;
  #isLost = false;

  constructor(name: string, database: DatabasePool) {
    this.#name = name;
    this.#database = database;
  }

  /** Whether a slot that was in use has got another generation since the last call. */
  takeLost(): boolean {
    const isLost = this.#isLost;
    this.#isLost = false;
    return isLost;
  }

  /** Positions of now cannot be compared with those of before. */
  async next({ systemId, timeline }: SystemIdentity): Promise<number> {
    const result = await this.#database.pool.query<{ generation: number; used: boolean | null }>(
      `insert into paperdb.wal_slots as s (name, generation, system_id, timeline) values ($1, $2::int + 1, $3, $4)
       on conflict (name) do update set generation = greatest(s.generation, $2::int) + 1,
         system_id = excluded.system_id, timeline = excluded.timeline, confirmed_at_most = null
       returning generation,
         (select former.confirmed_at_most is not null from paperdb.wal_slots former where former.name = $1) as used`,
      [this.#name, this.#current, systemId, timeline],
    );
    const [row] = result.rows;
    if (row?.used === true) this.#isLost = true;
    return row?.generation ?? 1;
  }

  /** The generation that counts from now on. */
  async use(identity: SystemIdentity): Promise<number> {
    const result = await this.#database.pool.query<{ generation: number; same: boolean }>(
      "select generation, system_id = $2 and timeline = $3 as same from paperdb.wal_slots where name = $1",
      [this.#name, identity.systemId, identity.timeline],
    );
    const [row] = result.rows;
    // A database that was restored or promoted has another history; what it knew of ours may be old.
    const goesOn = row?.same === true && row.generation >= this.#current;
    this.#current = goesOn ? row.generation : await this.next(identity);
    return this.#current;
  }

  /** Whether a slot that stands here stands where we may have told it to. */
  async isAsTold(confirmed: string | null): Promise<boolean> {
    const result = await this.#database.pool.query<{ told: boolean }>(
      "select coalesce($2::pg_lsn <= confirmed_at_most, false) as told from paperdb.wal_slots where name = $1",
      [this.#name, confirmed],
    );
    return result.rows[0]?.told === true;
  }

  /** Before the slot is told to move on: it does not get further than this by us. */
  async recordConfirmedAtMost(lsn: Lsn): Promise<void> {
    await this.#database.pool.query(
      `update paperdb.wal_slots set confirmed_at_most = greatest(confirmed_at_most, $3::pg_lsn)
       where name = $1 and generation = $2`,
      [this.#name, this.#current, formatLsn(lsn)],
    );
  }
}
