import { DatabaseError } from "pg";
import type { PoolClient } from "pg";
import type { DatabasePool } from "../database-pool.ts";
import type { WalSettings } from "./settings.ts";
import { SlotUnavailableError } from "./slot-errors.ts";

/** The longest attempt to make a slot, unless one is configured to be longer. */
const MAX_CREATE_MS = 600_000;
/** How long the answer may take beyond the statement. */
const ANSWER_TIMEOUT_MS = 10_000;

const DUPLICATE_OBJECT = "42710";
const QUERY_CANCELED = "57014";

/** Makes a slot, among transactions that have to end first. */
export class SlotCreation {
  readonly #name: string;
  readonly #database: DatabasePool;
  readonly #settings: Pick<WalSettings, "slotTimeoutMs">;
  /** In a row. */
  #attempts = 0;

  constructor(name: string, database: DatabasePool, settings: Pick<WalSettings, "slotTimeoutMs">) {
    this.#name = name;
    this.#database = database;
    this.#settings = settings;
  }

  /**
   * One attempt. Each waits twice as long as the one before: it begins from scratch, so where transactions always overlap
   * none that is shorter than they are would ever succeed.
   *
   * @param onWaiting - told why it takes time.
   * @throws {SlotUnavailableError} it took too long.
   */
  async create(onWaiting: (reason: string) => void): Promise<void> {
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
      values: [this.#name],
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
    const waiting = `The replication slot "${this.#name}" is being created`;
    return count === 0
      ? `${waiting}.`
      : `${waiting}: PostgreSQL waits for ${String(count)} open transactions that write, the oldest of process ${String(pid)} since ${since?.toISOString() ?? "?"}.`;
  }
}
