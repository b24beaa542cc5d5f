import { setTimeout as sleep } from "node:timers/promises";
import { RealtimeError } from "@paperdb/protocol";
import { DatabaseError, escapeIdentifier, escapeLiteral } from "pg";
import type { Pool, PoolClient } from "pg";
import type { Logger } from "pino";
import { quoteQualifiedName } from "../../postgres/identifier.ts";
import {
  PRIOR_ARGUMENT,
  TRIGGER_NAME_PREFIX,
  captureFunctionName,
  captureFunctionSql,
  rowTriggerName,
  truncateTriggerName,
} from "./capture-sql.ts";
import { fetchTriggers } from "./catalog-query.ts";
import { CONTROL_CHANNEL } from "./channels.ts";
import type { SourceDatabase } from "./database.ts";
import { handToOwners } from "./function-owner.ts";
import { inInstallation } from "./installation.ts";
import { isCaptured, isCapturedWithin, sendsPrior } from "./installed.ts";
import type { NotifySettings } from "./settings.ts";
import type { CapturedTable } from "./table.ts";
import { controlPayload } from "./wire.ts";

const INSUFFICIENT_PRIVILEGE = "42501";
/** Someone else holds the table or its partitions, or had a deadlock with us, or installed at the same time. */
const WORTH_A_RETRY: ReadonlySet<string | undefined> = new Set([
  "55P03",
  "57014",
  "40P01",
  "XX000",
  "23505",
  "40001",
]);

/** What came of an installation. */
export interface Installation {
  /** Whether all servers are told that the table's changes were not captured, in its place among the changes. */
  readonly announced: boolean;
}

/** Pauses between attempts: in them the application's writes go on. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 400;

/** Puts our triggers on tables, without ever standing in the application's way for long. */
export class TriggerInstaller {
  readonly #database: SourceDatabase;
  readonly #settings: NotifySettings;
  readonly #log: Logger;
  readonly #signal: AbortSignal;

  /** @param signal - gives installations up. */
  constructor(database: SourceDatabase, settings: NotifySettings, log: Logger, signal: AbortSignal) {
    this.#database = database;
    this.#settings = settings;
    this.#log = log;
    this.#signal = signal;
  }

  /**
   * Installs what captures the table's changes. A table that is in use is tried
   * again and again, each time for `lockTimeoutMs` at most, and not while a
   * transaction holds it that was there at the attempt before: waiting behind that one
   * would only hold up the application's writes.
   *
   * @param withPrior - updates are to be sent with the row before; where they are so already, they stay so.
   * @throws {RealtimeError} `source_unavailable` when the table stays locked, `collection_not_usable` without the right to it.
   */
  async install(
    table: CapturedTable,
    withPrior: boolean,
    timeoutMs: number = this.#settings.installTimeoutMs,
  ): Promise<Installation> {
    const deadline = Date.now() + timeoutMs;
    const shown = quoteQualifiedName(table.name);
    let former: ReadonlySet<string> = new Set();
    for (;;) {
      this.#signal.throwIfAborted();
      const holders = await fetchHolders(this.#database.pool, [table.oid, ...table.partitions]);
      const held = holders.some((holder) => former.has(holder));
      former = new Set(holders);
      const outcome = held ? undefined : await this.#tryOnce(table, withPrior, shown);
      if (outcome !== undefined && "announced" in outcome) {
        this.#log.info({ collection: table.collection }, "Installed the triggers of a collection");
        return outcome;
      }
      if (Date.now() >= deadline) throw staysLocked(shown, timeoutMs, outcome);
      const waitMs = RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS);
      await sleep(waitMs, undefined, { signal: this.#signal });
    }
  }

  /** @returns a failure that is worth another attempt as well. */
  async #tryOnce(
    table: CapturedTable,
    withPrior: boolean,
    shown: string,
  ): Promise<DatabaseError | Installation> {
    try {
      return await this.#attempt(table, withPrior);
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      if (error.code === INSUFFICIENT_PRIVILEGE) throw notOwner(shown, error);
      if (!WORTH_A_RETRY.has(error.code)) throw error;
      return error;
    }
  }

  async #attempt(table: CapturedTable, withPrior: boolean): Promise<Installation> {
    return inInstallation(this.#database.pool, this.#settings.lockTimeoutMs, async (client) => {
      await this.#lock(client, table);
      const current = await fetchCurrent(client, table);
      // Another server may have been here since: what it put in place is not touched again.
      const { encoding } = this.#database;
      if (!isCapturedWithin(current, this.#settings, encoding) || (withPrior && !sendsPrior(current))) {
        // Another server may need the rows before.
        const argument = withPrior || current.triggers.some((trigger) => trigger.sendsPrior);
        await this.#create(client, table, argument ? escapeLiteral(PRIOR_ARGUMENT) : "");
      }
      // Whatever was not captured until now is lost to every server that watches the table, not only to this one.
      const announced = !isCaptured(current);
      if (announced) await announce(client, table);
      return { announced };
    });
  }

  /** First, so that a table in use costs one statement; ONLY of a partitioned table would not do. */
  async #lock(client: PoolClient, table: CapturedTable): Promise<void> {
    // lock_timeout is for each partition, this for all together.
    await client.query(`SET LOCAL statement_timeout = ${String(this.#settings.lockTimeoutMs)}`);
    await client.query(`LOCK TABLE ${quoteQualifiedName(table.name)} IN SHARE ROW EXCLUSIVE MODE`);
    await client.query("SET LOCAL statement_timeout = 0");
  }

  /** @param argument - of the row trigger, as SQL. */
  async #create(client: PoolClient, table: CapturedTable, argument: string): Promise<void> {
    const functionName = `FUNCTION paperdb.${escapeIdentifier(captureFunctionName(table))}`;
    const shown = quoteQualifiedName(table.name);
    await client.query(captureFunctionSql(table, this.#settings, this.#database.encoding));
    // Whoever owns the table, then and later, may add partitions to it, and the triggers go along.
    await client.query(`GRANT EXECUTE ON ${functionName}() TO PUBLIC`);
    await handToOwners(client);
    const rowTrigger = escapeIdentifier(rowTriggerName(table));
    await client.query(
      `CREATE OR REPLACE TRIGGER ${rowTrigger} AFTER INSERT OR UPDATE OR DELETE ON ${shown} FOR EACH ROW EXECUTE ${functionName}(${argument})`,
    );
    await client.query(`ALTER TABLE ${shown} ENABLE ALWAYS TRIGGER ${rowTrigger}`);
    // Statement triggers are not handed down to partitions.
    const truncateTrigger = escapeIdentifier(truncateTriggerName(table));
    for (const { shown: relation } of await fetchRelations(client, table)) {
      await client.query(
        `CREATE OR REPLACE TRIGGER ${truncateTrigger} AFTER TRUNCATE ON ${relation} FOR EACH STATEMENT EXECUTE ${functionName}()`,
      );
      await client.query(`ALTER TABLE ${relation} ENABLE ALWAYS TRIGGER ${truncateTrigger}`);
    }
    await dropStale(client, table);
  }
}

/** The transactions that keep a trigger from being installed now, by their virtual ids. */
async function fetchHolders(pool: Pool, relations: readonly number[]): Promise<readonly string[]> {
  const result = await pool.query<{ holder: string }>(
    `select distinct virtualtransaction as holder from pg_catalog.pg_locks
     where locktype = 'relation' and granted and relation = any($1::oid[])
       and database = (select oid from pg_catalog.pg_database where datname = current_database())
       and mode not in ('AccessShareLock', 'RowShareLock')`,
    [relations],
  );
  return result.rows.map((row) => row.holder);
}

/** The table as it is now that no one else can change its triggers. */
async function fetchCurrent(client: PoolClient, table: CapturedTable): Promise<CapturedTable> {
  const relations = (await fetchRelations(client, table)).map(({ oid }) => oid);
  const partitions = relations.filter((oid) => oid !== table.oid);
  return { ...table, partitions, triggers: await fetchTriggers(client, relations) };
}

async function announce(client: PoolClient, { oid }: CapturedTable): Promise<void> {
  const payload = controlPayload({ reason: "recaptured", tableOid: oid });
  await client.query("SELECT pg_notify($1, $2)", [CONTROL_CHANNEL, payload]);
}

/** The table and its partitions at all levels. */
async function fetchRelations(
  client: PoolClient,
  table: CapturedTable,
): Promise<readonly { readonly oid: number; readonly shown: string }[]> {
  const result = await client.query<{ oid: string; shown: string }>(
    `with recursive tree(oid) as (
       select $1::oid union all select i.inhrelid from pg_catalog.pg_inherits i join tree t on i.inhparent = t.oid
       where (select relkind from pg_catalog.pg_class where oid = $1::oid) = 'p'
     )
     select c.oid::bigint as oid, pg_catalog.format('%I.%I', n.nspname, c.relname) as shown
     from tree t join pg_catalog.pg_class c on c.oid = t.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace`,
    [table.oid],
  );
  return result.rows.map(({ oid, shown }) => ({ oid: Number(oid), shown }));
}

/** A table restored from a dump brings triggers along that are named for its former oid. */
async function dropStale(client: PoolClient, table: CapturedTable): Promise<void> {
  const result = await client.query<{ trigger: string }>(
    `select pg_catalog.format('%I', tgname) as trigger from pg_catalog.pg_trigger
     where tgrelid = $1::oid and tgparentid = 0 and pg_catalog.starts_with(tgname::text, $2) and tgname <> all($3::name[])`,
    [table.oid, TRIGGER_NAME_PREFIX, [rowTriggerName(table), truncateTriggerName(table)]],
  );
  for (const { trigger } of result.rows) {
    await client.query(`DROP TRIGGER ${trigger} ON ${quoteQualifiedName(table.name)}`);
  }
}

function notOwner(shown: string, cause: unknown): RealtimeError {
  return new RealtimeError(
    "collection_not_usable",
    `The server's database user may not install a trigger on ${shown}: make it a member of the table's owner (GRANT <owner> TO <user>).`,
    { cause },
  );
}

function staysLocked(shown: string, timeoutMs: number, cause: unknown): RealtimeError {
  return new RealtimeError(
    "source_unavailable",
    `The table ${shown} was locked by a long transaction or a VACUUM for ${String(timeoutMs / 1000)} s, so its trigger could not be installed: try again, or end it.`,
    { cause, retryAfterSeconds: 5 },
  );
}
