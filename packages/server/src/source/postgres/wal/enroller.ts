import { setTimeout as sleep } from "node:timers/promises";
import { RealtimeError } from "@paperdb/protocol";
import { DatabaseError, escapeIdentifier } from "pg";
import type { Pool, PoolClient } from "pg";
import type { Logger } from "pino";
import { quoteQualifiedName } from "../../../postgres/identifier.ts";
import type { DatabasePool } from "../database-pool.ts";
import { inInstallation } from "../installation.ts";
import type { CapturedTable } from "../table.ts";
import type { Publication } from "./publication.ts";
import type { WalSettings } from "./settings.ts";

const INSUFFICIENT_PRIVILEGE = "42501";
const INVALID_PARAMETER = "22023";
const DUPLICATE_OBJECT = "42710";
/** Someone else holds the table or its partitions, or had a deadlock with us, or changed it at the same time. */
const WORTH_A_RETRY: ReadonlySet<string | undefined> = new Set([
  "55P03",
  "57014",
  "40P01",
  "XX000",
  "23505",
  "40001",
]);

/** For `uninstall`, which gives it back. */
const REMEMBER_IDENTITY = `
insert into paperdb.wal_identities (relation, identity, index)
select c.oid, c.relreplident, (select indexrelid from pg_catalog.pg_index where indrelid = c.oid and indisreplident)
from pg_catalog.pg_class c where c.oid = $1::oid
on conflict (relation) do update set identity = excluded.identity, index = excluded.index`;

/** Pauses between attempts: in them the application's queries go on. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 400;

/** What an {@link Enroller} works with. */
export interface EnrollerOptions {
  readonly database: DatabasePool;
  readonly publication: Publication;
  readonly settings: Pick<WalSettings, "lockTimeoutMs" | "enrollTimeoutMs">;
  readonly log: Logger;
  /** Gives its work up. */
  readonly signal: AbortSignal;
}

/** Puts tables into the publication, with rows of before complete, without ever standing in the application's way for long. */
export class Enroller {
  readonly #options: EnrollerOptions;

  constructor(options: EnrollerOptions) {
    this.#options = options;
  }

  /**
   * A table that is in use is tried again and again, each time for `lockTimeoutMs` at most, and not while a
   * transaction holds it that was there at the attempt before.
   *
   * @throws {RealtimeError} `source_unavailable` when the table stays locked, `collection_not_usable` without the right to it.
   */
  async enroll(
    table: CapturedTable,
    timeoutMs: number = this.#options.settings.enrollTimeoutMs,
  ): Promise<void> {
    const { database, signal, log } = this.#options;
    const deadline = Date.now() + timeoutMs;
    let former: ReadonlySet<string> = new Set();
    for (;;) {
      signal.throwIfAborted();
      const holders = await fetchHolders(database.pool, table);
      const held = holders.some((holder) => former.has(holder));
      former = new Set(holders);
      const failure = held ? "held" : await this.#tryOnce(table);
      if (failure === undefined) {
        log.info({ collection: table.collection }, "Put the table of a collection into the publication");
        return;
      }
      if (Date.now() >= deadline) throw this.#staysLocked(table, timeoutMs, failure);
      await sleep(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS), undefined, { signal });
    }
  }

  /** @returns a failure that is worth another attempt. */
  async #tryOnce(table: CapturedTable): Promise<DatabaseError | undefined> {
    try {
      await this.#attempt(table);
      return undefined;
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      if (error.code === INSUFFICIENT_PRIVILEGE) throw this.#notOwner(table, error);
      if (error.code === INVALID_PARAMETER) throw unlogged(table, error);
      if (!WORTH_A_RETRY.has(error.code)) throw error;
      return error;
    }
  }

  async #attempt(table: CapturedTable): Promise<void> {
    const { database, publication, settings } = this.#options;
    await inInstallation(database.pool, settings.lockTimeoutMs, async (client) => {
      const shown = quoteQualifiedName(table.name);
      // lock_timeout is for each partition, this for all together.
      await client.query(`SET LOCAL statement_timeout = ${String(settings.lockTimeoutMs)}`);
      // What a transaction has written before the table is published would not be streamed, so none is under way.
      await client.query(`LOCK TABLE ${shown} IN SHARE ROW EXCLUSIVE MODE`);
      for (const { oid, shown: relation } of await fetchWithoutIdentity(client, table.oid)) {
        await client.query(REMEMBER_IDENTITY, [oid]);
        await client.query(`ALTER TABLE ${relation} REPLICA IDENTITY FULL`);
      }
      await client.query("SET LOCAL statement_timeout = 0");
      await client.query("SAVEPOINT publish");
      try {
        await client.query(`ALTER PUBLICATION ${escapeIdentifier(publication.name)} ADD TABLE ONLY ${shown}`);
      } catch (error) {
        if (!(error instanceof DatabaseError) || error.code !== DUPLICATE_OBJECT) throw error;
        await client.query("ROLLBACK TO SAVEPOINT publish");
      }
    });
  }

  #byHand(table: CapturedTable): string {
    const shown = quoteQualifiedName(table.name);
    return `BEGIN; ALTER TABLE ${shown} REPLICA IDENTITY FULL; ALTER PUBLICATION ${escapeIdentifier(this.#options.publication.name)} ADD TABLE ${shown}; COMMIT;`;
  }

  #notOwner(table: CapturedTable, cause: unknown): RealtimeError {
    return new RealtimeError(
      "collection_not_usable",
      `The server's database user may not publish ${quoteQualifiedName(table.name)}: make it a member of the table's owner (GRANT <owner> TO <user>), or run, as a superuser: ${this.#byHand(table)}`,
      { cause },
    );
  }

  #staysLocked(table: CapturedTable, timeoutMs: number, cause: unknown): RealtimeError {
    return new RealtimeError(
      "source_unavailable",
      `The table ${quoteQualifiedName(table.name)} was locked by a long transaction for ${String(timeoutMs / 1000)} s, so it could not be published: try again, or end it, or run: ${this.#byHand(table)}`,
      { cause, retryAfterSeconds: 5 },
    );
  }
}

/** The transactions that a lock would have to wait for now, by their virtual ids. */
async function fetchHolders(pool: Pool, table: CapturedTable): Promise<readonly string[]> {
  const relations = [table.oid, ...table.partitions];
  const result = await pool.query<{ holder: string }>(
    `select distinct virtualtransaction as holder from pg_catalog.pg_locks
     where locktype = 'relation' and granted and relation = any($1::oid[])
       and database = (select oid from pg_catalog.pg_database where datname = current_database())
       and (mode not in ('AccessShareLock', 'RowShareLock')
         or exists (select from pg_catalog.pg_class c
           where c.oid = any($1::oid[]) and c.relkind = 'r' and c.relreplident <> 'f'))`,
    [relations],
  );
  return result.rows.map((row) => row.holder);
}

/** The table, or those of its partitions, that have not REPLICA IDENTITY FULL, quoted. */
async function fetchWithoutIdentity(
  client: PoolClient,
  oid: number,
): Promise<readonly { readonly oid: string; readonly shown: string }[]> {
  const result = await client.query<{ oid: string; shown: string }>(
    `with recursive tree(oid) as (
       select $1::oid union all select i.inhrelid from tree t
       join pg_catalog.pg_class c on c.oid = t.oid and c.relkind = 'p'
       join pg_catalog.pg_inherits i on i.inhparent = t.oid
     )
     select c.oid::pg_catalog.int8 as oid, pg_catalog.format('%I.%I', n.nspname, c.relname) as shown
     from tree t join pg_catalog.pg_class c on c.oid = t.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and c.relreplident <> 'f'`,
    [oid],
  );
  return result.rows;
}

function unlogged(table: CapturedTable, cause: unknown): RealtimeError {
  return new RealtimeError(
    "collection_not_usable",
    `PostgreSQL cannot publish the table ${quoteQualifiedName(table.name)}, since it is unlogged or foreign: make it an ordinary one (ALTER TABLE … SET LOGGED), or use mode "notify".`,
    { cause },
  );
}
