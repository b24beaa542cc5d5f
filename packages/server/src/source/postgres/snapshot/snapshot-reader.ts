import { RealtimeError } from "@paperdb/protocol";
import { Connection, DatabaseError, Pool } from "pg";
import type { PoolClient } from "pg";
import type { Logger } from "pino";
import { quoteQualifiedName } from "../../../postgres/identifier.ts";
import type { SnapshotDocument, SnapshotNarrowing } from "../../change-source.ts";
import { documentJson } from "../../document-json.ts";
import type { SnapshotSettings } from "../../snapshot-settings.ts";
import { allButHidden } from "../documents.ts";
import { justChanged } from "../just-changed.ts";
import type { CapturedTable } from "../table.ts";
import { CopiedRows } from "./copied-rows.ts";
import { beginSql, copySql, TABLE_FACTS, takeSql } from "./snapshot-sql.ts";
import type { TableFacts } from "./snapshot-sql.ts";
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
    this.#pool.on("error", (error) => {
      log.debug({ reason: error.message }, "An idle connection to the database was lost");
    });
    // Queries fail by themselves; without a listener a connection that is lost would end the process.
    this.#pool.on("connect", (client) => client.on("error", () => undefined));
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
    const reading = new Reading(client, given);
    try {
      const facts = await this.#begin(client, table);
      const visibility = await take(client, table);
      const { maxDocumentBytes, encoding, settings } = this.#options;
      const wanted = { tenant, narrowing, maxDocumentBytes, encoding: encoding() };
      const rows = new CopiedRows(copySql(table, facts, wanted), settings, (id, row) =>
        this.#document(table, id, row, narrowing?.granted !== undefined),
      );
      client.query(rows);
      void reading.endAfter(rows.finished);
      return { visibility, batches: reading.batches(rows, (error) => this.#explain(error, table)) };
    } catch (error) {
      reading.cut();
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

  async #begin(client: PoolClient, table: CapturedTable): Promise<TableFacts> {
    const result = await client.query<TableFacts>(TABLE_FACTS, [table.oid]);
    const [facts] = result.rows;
    if (facts === undefined) throw justChanged(table.collection);
    await client.query(beginSql(table, facts, this.#options.settings.timeoutMs));
    return facts;
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
    return {
      documentId: table.primaryKey.length > 1 ? documentJson(id) : id,
      document: documentJson(row, table.hidden),
      ...(withHidden && table.hidden.size > 0 ? { hidden: documentJson(row, allButHidden(table)) } : {}),
    };
  }
}

/** One reading's connection, which is given back or cut exactly once. */
class Reading {
  readonly #client: PoolClient;
  readonly #signal: AbortSignal;
  #isOver = false;

  constructor(client: PoolClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    if (signal.aborted) this.cut();
    else signal.addEventListener("abort", this.cut, { once: true });
  }

  /** At once, also while the database waits for us to read. */
  readonly cut = (): void => {
    if (this.#isOver) return;
    this.#over();
    const connection: unknown = Reflect.get(this.#client, "connection");
    if (connection instanceof Connection) connection.stream.destroy();
    this.#client.release(true);
  };

  /** The snapshot is let go as soon as the database has sent all, though some of it may not have been taken. */
  async endAfter(finished: Promise<void>): Promise<void> {
    try {
      await finished;
      await this.#client.query("COMMIT");
    } catch {
      this.cut(); // The iteration throws it.
      return;
    }
    if (this.#isOver) return;
    this.#over();
    this.#client.release();
  }

  async *batches(
    rows: CopiedRows,
    explained: (error: unknown) => unknown,
  ): AsyncGenerator<readonly SnapshotDocument[]> {
    let isDone = false;
    try {
      for (;;) {
        const batch = await rows.next();
        this.#signal.throwIfAborted();
        if (batch === undefined) break;
        yield batch;
      }
      isDone = true;
    } catch (error) {
      this.#signal.throwIfAborted();
      throw explained(error);
    } finally {
      if (!isDone) this.cut();
    }
  }

  #over(): void {
    this.#isOver = true;
    this.#signal.removeEventListener("abort", this.cut);
  }
}

async function take(client: PoolClient, table: CapturedTable): Promise<Visibility> {
  const result = await client.query<{ seen: string; oid: string | null }>(takeSql(table));
  const { seen = "", oid = null } = result.rows[0] ?? {};
  // The name may stand for another table by now, which would be read under this one's rules.
  if (Number(oid) !== table.oid) throw justChanged(table.collection);
  return new Visibility(seen);
}

function mayNotRead({ name }: CapturedTable, cause: unknown): RealtimeError {
  const shown = quoteQualifiedName(name);
  return new RealtimeError(
    "collection_not_usable",
    `The server's database user may not read all rows of ${shown}, so there is no snapshot of it: GRANT SELECT ON ${shown} TO <user>, and where it has row-level security, ALTER ROLE <user> BYPASSRLS.`,
    { cause },
  );
}
