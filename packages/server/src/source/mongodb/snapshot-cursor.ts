import { RealtimeError } from "@paperdb/protocol";
import { Long, Timestamp } from "mongodb";
import type { ClientSession, Db, Document, MongoClient } from "mongodb";
import type { Logger } from "pino";
import { codeOf, reasonOf } from "./errors.ts";
import { clusterTimeOf, toTimestamp } from "./position.ts";
import type { ClusterTime } from "./position.ts";

/** What is read. */
export interface SnapshotQuery {
  readonly collection: string;
  readonly filter: Document;
  readonly projection: Document;
  /** Not before this time. */
  readonly notBefore: ClusterTime;
  readonly batchRows: number;
  readonly timeoutMs: number;
}

/** Of MongoDB before 5, which reads at a cluster time in transactions only. */
const INVALID_OPTIONS = 72;

/** As streams are read, so that documents have the same JSON. */
const READ_OPTIONS = { promoteValues: false, bsonRegExp: true, enableUtf8Validation: false } as const;

/** Documents at one cluster time. The driver's own cursors do not tell which. */
export class SnapshotCursor {
  readonly time: ClusterTime;
  readonly #db: Db;
  readonly #session: ClientSession;
  readonly #query: SnapshotQuery;
  readonly #log: Logger;
  #id: Long;
  #batch: readonly unknown[] | undefined;

  private constructor(
    db: Db,
    session: ClientSession,
    query: SnapshotQuery,
    log: Logger,
    first: { readonly time: ClusterTime; readonly id: Long; readonly batch: readonly unknown[] },
  ) {
    this.#db = db;
    this.#session = session;
    this.#query = query;
    this.#log = log;
    this.time = first.time;
    this.#id = first.id;
    this.#batch = first.batch;
  }

  /** @throws {RealtimeError} `snapshot_not_supported`: the server cannot read at a cluster time. */
  static async open(client: MongoClient, db: Db, query: SnapshotQuery, log: Logger): Promise<SnapshotCursor> {
    const session = client.startSession({ causalConsistency: false });
    try {
      const reply = await find(db, session, query);
      const time: unknown = reply["cursor"]?.atClusterTime;
      if (!(time instanceof Timestamp)) throw notSupported();
      const { id, batch } = parse(reply, "firstBatch");
      return new SnapshotCursor(db, session, query, log, { time: clusterTimeOf(time), id, batch });
    } catch (error) {
      await session.endSession();
      throw error;
    }
  }

  /** The next documents; undefined after the last. The server sends 16 MB at most. */
  async next(): Promise<readonly unknown[] | undefined> {
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch !== undefined && batch.length > 0) return batch;
    if (this.#id.isZero()) return undefined;
    const { collection, batchRows } = this.#query;
    const command = { getMore: this.#id, collection, batchSize: batchRows };
    const reply = await this.#db.command(command, { ...READ_OPTIONS, session: this.#session });
    const more = parse(reply, "nextBatch");
    this.#id = more.id;
    return more.batch.length === 0 ? undefined : more.batch;
  }

  /** Lets the server forget it. */
  async close(): Promise<void> {
    try {
      if (!this.#id.isZero()) {
        const command = { killCursors: this.#query.collection, cursors: [this.#id] };
        this.#id = Long.ZERO;
        await this.#db.command(command, { session: this.#session });
      }
    } catch (error) {
      this.#log.debug({ reason: reasonOf(error) }, "A cursor could not be closed");
    } finally {
      await this.#session.endSession();
    }
  }
}

async function find(db: Db, session: ClientSession, query: SnapshotQuery): Promise<Document> {
  const { collection, filter, projection, notBefore, batchRows, timeoutMs } = query;
  const command = {
    find: collection,
    filter,
    projection,
    batchSize: batchRows,
    maxTimeMS: timeoutMs,
    readConcern: { level: "snapshot", atClusterTime: toTimestamp(notBefore) },
  };
  try {
    return await db.command(command, { ...READ_OPTIONS, session });
  } catch (error) {
    if (codeOf(error) === INVALID_OPTIONS) throw notSupported(error);
    throw error;
  }
}

function parse(
  reply: Document,
  batchName: "firstBatch" | "nextBatch",
): { readonly id: Long; readonly batch: readonly unknown[] } {
  const id: unknown = reply["cursor"]?.id;
  const batch: unknown = reply["cursor"]?.[batchName];
  if (!Array.isArray(batch)) throw new Error("The server's answer has no documents.");
  return { id: Long.isLong(id) ? id : Long.ZERO, batch };
}

function notSupported(cause?: unknown): RealtimeError {
  return new RealtimeError(
    "snapshot_not_supported",
    "This MongoDB cannot read as of one moment: snapshots need version 5 or newer, on a replica set.",
    { cause },
  );
}
