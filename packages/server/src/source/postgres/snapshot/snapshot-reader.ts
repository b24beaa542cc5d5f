import { setMaxListeners } from "node:events";
import { RealtimeError } from "@paperdb/protocol";
import { DatabaseError, Pool } from "pg";
import type { PoolClient } from "pg";
import type { Logger } from "pino";
import { quoteQualifiedName } from "../../../postgres/identifier.ts";
import type { SnapshotDocument, SnapshotNarrowing } from "../../change-source.ts";
import { documentJson } from "../../document-json.ts";
import type { SnapshotSettings } from "../../snapshot-settings.ts";
import { allButHidden, visibleJson } from "../documents.ts";
import { justChanged } from "../just-changed.ts";
import type { CapturedTable } from "../table.ts";
import { CopiedRows } from "./copied-rows.ts";
import { endWithConnection, HeldConnection } from "./held-connection.ts";
import { beginSql, copySql, takeSql } from "./snapshot-sql.ts";
import type { SnapshotFacts, TableFacts } from "./snapshot-sql.ts";
import { Visibility } from "./visibility.ts";

/** What a {@link SnapshotReader} is made of. */
export interface SnapshotReaderOptions {
  /** The source's name, for sentences. */
  readonly source: string;
  readonly url: string;
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
  /** The database's encoding, once it is known. */
  readonly encoding: () => string;
  /** A larger document fails the reading, as it would reset the channel. */
  readonly maxDocumentBytes: number;
  readonly settings: SnapshotSettings;
  readonly log: Logger;
}

/** Which rows are read. */
export interface RowsRequest {
  readonly table: CapturedTable;
  readonly tenant: string;
  readonly narrowing: SnapshotNarrowing | undefined;
}

/** The rows of a tenant, as of one moment. */
export interface RowsAsOf {
  readonly visibility: Visibility;
  readonly batches: AsyncIterable<readonly SnapshotDocument[]>;
}

const INSUFFICIENT_PRIVILEGE = "42501";
const IDLE_TIMEOUT_MS = 10_000;

/** Reads the rows of tenants, each reading in one snapshot of the database, on connections of their own. */
export class SnapshotReader {
  readonly #options: SnapshotReaderOptions;
  readonly #pool: Pool;
  readonly #closing = new AbortController();

  constructor(options: SnapshotReaderOptions) {
    this.#options = options;
    const { url, applicationName, connectTimeoutMs, settings, log } = options;
    this.#pool = new Pool({
      connectionString: url,
      application_name: applicationName,
      max: settings.maxConcurrent,
      connectionTimeoutMillis: connectTimeoutMs,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      keepAlive: true,
      allowExitOnIdle: true,
    });
    // Each connection listens to it.
    setMaxListeners(0, this.#closing.signal);
    this.#pool.on("error", (error) => {
      log.debug({ reason: error.message }, "An idle connection to the database was lost");
    });
    // Queries fail by themselves; without a listener a connection that is lost would end the process.
    this.#pool.on("connect", (client) => {
      client.on("error", () => undefined);
      endWithConnection(client).catch((error: unknown) => {
        log.debug(
          { reason: String(error) },
          "The database does not look whether its clients are still there",
        );
      });
    });
  }

  /**
   * Takes a snapshot; it is held until the batches have been read, or the signal is aborted.
   *
   * @throws {RealtimeError} `collection_not_usable`, `source_unavailable`; the iteration throws as well.
   */
  async read({ table, tenant, narrowing }: RowsRequest, signal: AbortSignal): Promise<RowsAsOf> {
    const given = AbortSignal.any([signal, this.#closing.signal]);
    given.throwIfAborted();
    const client = await this.explaining(this.#pool.connect());
    if (given.aborted) client.release();
    given.throwIfAborted();
    const held = new HeldConnection(client, given, this.#closing.signal);
    try {
      await client.query(beginSql(table, this.#options.settings.timeoutMs));
      const { visibility, facts } = await take(client, table);
      const { maxDocumentBytes, encoding, settings } = this.#options;
      const wanted = { tenant, narrowing, maxDocumentBytes, encoding: encoding() };
      const rows = new CopiedRows(copySql(table, facts, wanted), settings, (id, row) =>
        this.#document(table, id, row, narrowing?.granted !== undefined),
      );
      client.query(rows);
      void endAfter(rows.finished, held);
      return { visibility, batches: this.#batches(table, rows, held, given) };
    } catch (error) {
      if (error instanceof DatabaseError || error instanceof RealtimeError) held.discard();
      held.cut();
      await held.over;
      given.throwIfAborted();
      throw this.#explain(error, table);
    }
  }

  /** A promise of the database, with its failure as clients get it. */
  async explaining<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** Gives up what is being read. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("The source is closing."));
    await this.#pool.end();
  }

  #explain(error: unknown, table?: CapturedTable): RealtimeError {
    if (error instanceof RealtimeError) return error;
    const isRefused = error instanceof DatabaseError && error.code === INSUFFICIENT_PRIVILEGE;
    if (isRefused && table !== undefined) return mayNotRead(table, error);
    this.#options.log.warn({ reason: String(error) }, "Cannot read a snapshot");
    return new RealtimeError(
      "source_unavailable",
      `The source "${this.#options.source}" cannot give a snapshot at the moment: try again.`,
      { cause: error, retryAfterSeconds: 1 },
    );
  }

  /** Ends, however it does, once the database does nothing for it any more. */
  async *#batches(
    table: CapturedTable,
    rows: CopiedRows,
    held: HeldConnection,
    signal: AbortSignal,
  ): AsyncGenerator<readonly SnapshotDocument[]> {
    let isDone = false;
    try {
      for (;;) {
        const batch = await rows.next();
        signal.throwIfAborted();
        if (batch === undefined) break;
        yield batch;
      }
      isDone = true;
    } catch (error) {
      signal.throwIfAborted();
      throw this.#explain(error, table);
    } finally {
      if (!isDone) held.cut();
      await held.over;
    }
  }

  #document(
    table: CapturedTable,
    id: string,
    row: string | undefined,
    withHidden: boolean,
  ): SnapshotDocument {
    if (row === undefined) {
      throw new RealtimeError(
        "collection_not_usable",
        `The collection "${table.collection}" has a document of more than ${String(this.#options.maxDocumentBytes)} bytes, so there is no snapshot of it: raise maxDocumentBytes.`,
      );
    }
    const document = visibleJson(row, table.hidden);
    if (document === undefined) throw justChanged(table.collection);
    return {
      documentId: table.primaryKey.length > 1 ? documentJson(id) : id,
      document,
      ...(withHidden && table.hidden.size > 0 ? { hidden: documentJson(row, allButHidden(table)) } : {}),
    };
  }
}

/** The snapshot is let go as soon as the database has sent all, though some of it may not have been taken. */
async function endAfter(finished: Promise<void>, held: HeldConnection): Promise<void> {
  try {
    await finished;
    await held.client.query("COMMIT");
    held.giveBack();
  } catch (error) {
    // The iteration throws it.
    if (error instanceof DatabaseError) held.discard();
    held.cut();
  }
}

/** @returns what the snapshot sees, and of what kind the table is now that it is locked. */
async function take(
  client: PoolClient,
  table: CapturedTable,
): Promise<{ readonly visibility: Visibility; readonly facts: TableFacts }> {
  const result = await client.query<SnapshotFacts>(takeSql(table), [table.oid]);
  const [facts] = result.rows;
  // The name may stand for another table by now, and a column that is to be hidden may have another name.
  const isSame =
    Number(facts?.oid) === table.oid &&
    [...table.hidden].every((column) => Object.hasOwn(facts?.types ?? {}, column));
  if (facts === undefined || !isSame) throw justChanged(table.collection);
  return { visibility: new Visibility(facts.seen), facts };
}

function mayNotRead({ name }: CapturedTable, cause: unknown): RealtimeError {
  const shown = quoteQualifiedName(name);
  return new RealtimeError(
    "collection_not_usable",
    `The server's database user may not read all rows of ${shown}, so there is no snapshot of it: GRANT SELECT ON ${shown} TO <user>, and where it has row-level security, ALTER ROLE <user> BYPASSRLS.`,
    { cause },
  );
}
