import { setTimeout as sleep } from "node:timers/promises";
import type { RealtimeError } from "@paperdb/protocol";
import { DatabaseError, escapeIdentifier } from "pg";
import type { Logger } from "pino";
import { quoteQualifiedName } from "../../../postgres/identifier.ts";
import type { DatabasePool } from "../database-pool.ts";
import { inInstallation } from "../installation.ts";
import type { CapturedTable } from "../table.ts";
import { notOwner, refused, staysLocked, stillWritten, unlogged } from "./enroll-errors.ts";
import { fetchHolders, fetchWriters } from "./lock-holders.ts";
import type { Publication } from "./publication.ts";
import { fetchWithoutIdentity, setIdentityFull } from "./replica-identity.ts";
import type { WalSettings } from "./settings.ts";

const INSUFFICIENT_PRIVILEGE = "42501";
const INVALID_PARAMETER = "22023";
/** The connection or the server, not the table: classes of SQLSTATE, and a table or schema that is gone. */
const NOT_OF_THE_TABLE = /^(?:08|53|57|58|25006|42P01|3F000)/u;
/** Someone else holds the table or its partitions, or had a deadlock with us, or changed or published it at the same time. */
const WORTH_A_RETRY: ReadonlySet<string | undefined> = new Set([
  "55P03",
  "57014",
  "40P01",
  "XX000",
  "23505",
  "40001",
  "42710",
]);

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
  #attempting: Promise<unknown> = Promise.resolve();

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
      const failure = held ? "held" : await this.#inTurn(() => this.#tryOnce(table));
      if (failure === undefined) {
        log.info({ collection: table.collection }, "Put the table of a collection into the publication");
        return;
      }
      if (Date.now() >= deadline) throw staysLocked(table, timeoutMs, await this.#byHand(table), failure);
      await pauseBetweenAttempts(signal);
    }
  }

  /**
   * Somebody else has put the table into the publication. What is being written to it then is not streamed, so it has to end.
   *
   * @throws {RealtimeError} `source_unavailable` when it takes too long.
   */
  async outlastWriters(
    table: CapturedTable,
    timeoutMs: number = this.#options.settings.enrollTimeoutMs,
  ): Promise<void> {
    const { database, signal } = this.#options;
    const deadline = Date.now() + timeoutMs;
    const writers = new Set(await fetchWriters(database.pool, table));
    let left = [...writers];
    while (left.length > 0) {
      if (Date.now() >= deadline) throw stillWritten(table, timeoutMs);
      await pauseBetweenAttempts(signal);
      left = (await fetchWriters(database.pool, table)).filter((writer) => writers.has(writer));
    }
  }

  /** Attempts wait for each other in the database: here they hold no connection meanwhile. */
  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#attempting.then(work);
    this.#attempting = result.catch(() => undefined);
    return result;
  }

  /** @returns a failure that is worth another attempt. */
  async #tryOnce(table: CapturedTable): Promise<DatabaseError | undefined> {
    try {
      await this.#attempt(table);
      return undefined;
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      const code = error.code ?? "";
      if (WORTH_A_RETRY.has(code)) return error;
      if (NOT_OF_THE_TABLE.test(code)) throw error;
      throw await this.#refused(table, error);
    }
  }

  async #attempt(table: CapturedTable): Promise<void> {
    const { database, publication, settings } = this.#options;
    await inInstallation(database.pool, settings.lockTimeoutMs, async (client) => {
      // lock_timeout is for each partition, this for all together.
      await client.query(`SET LOCAL statement_timeout = ${String(settings.lockTimeoutMs)}`);
      // What a transaction has written before the table is published would not be streamed, so none is under way.
      await client.query(`LOCK TABLE ${quoteQualifiedName(table.name)} IN SHARE ROW EXCLUSIVE MODE`);
      await setIdentityFull(client, table.oid);
      await client.query("SET LOCAL statement_timeout = 0");
      await publication.add(client, table);
    });
  }

  /** What does the same, for somebody who may. */
  async #byHand(table: CapturedTable): Promise<string> {
    const { database, publication } = this.#options;
    const shown = quoteQualifiedName(table.name);
    const relations = await fetchWithoutIdentity(database.pool, table.oid);
    const identities = relations.map(
      ({ shown: relation }) => `ALTER TABLE ${relation} REPLICA IDENTITY FULL; `,
    );
    const isPublished = (await publication.fetchTables()).has(table.oid);
    const change = `ALTER PUBLICATION ${escapeIdentifier(publication.name)}`;
    return `BEGIN; LOCK TABLE ${shown} IN SHARE ROW EXCLUSIVE MODE; ${identities.join("")}${isPublished ? `${change} DROP TABLE ${shown}; ` : ""}${change} ADD TABLE ${shown}; COMMIT;`;
  }

  async #refused(table: CapturedTable, cause: DatabaseError): Promise<RealtimeError> {
    if (cause.code === INVALID_PARAMETER) return unlogged(table, cause);
    const byHand = await this.#byHand(table);
    if (cause.code === INSUFFICIENT_PRIVILEGE) return notOwner(table, byHand, cause);
    const fields = { collection: table.collection, reason: cause.message };
    this.#options.log.warn(fields, "The database does not let a table be published");
    return refused(table, byHand, cause);
  }
}

async function pauseBetweenAttempts(signal: AbortSignal): Promise<void> {
  await sleep(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS), undefined, { signal });
}
