import { RealtimeError } from "@paperdb/protocol";
import { Long, Timestamp } from "mongodb";
import type { ClientSession, Db, Document, MongoClient } from "mongodb";
import type { Logger } from "pino";
import { codeOf, reasonOf } from "./errors.ts";
import { toTimestamp } from "./position.ts";
import type { ClusterTime } from "./position.ts";

/** What is read. */
export interface SnapshotQuery {
  readonly collection: string;
  readonly filter: Document;
  readonly projection: Document;
  /** As of when. */
  readonly time: ClusterTime;
  readonly batchRows: number;
  readonly timeoutMs: number;
}

/** Of MongoDB before 5, which reads at a cluster time in transactions only. */
const INVALID_OPTIONS = 72;

const TIME_TO_COME_SECONDS = 86_400;

/** As streams are read, so that documents have the same JSON. */
const READ_OPTIONS = { promoteValues: false, bsonRegExp: true, enableUtf8Validation: false } as const;

/** Documents at one cluster time. The driver's own cursors do not tell which. */
export class SnapshotCursor {
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
    first: { readonly id: Long; readonly batch: readonly unknown[] },
  ) {
    this.#db = db;
    this.#session = session;
    this.#query = query;
    this.#log = log;
    this.#id = first.id;
    this.#batch = first.batch;
  }

  /** @throws {RealtimeError} `snapshot_not_supported`: the server cannot read at a cluster time. */
  static async open(client: MongoClient, db: Db, query: SnapshotQuery, log: Logger): Promise<SnapshotCursor> {
    const session = client.startSession({ causalConsistency: false });
    try {
      const reply = await find(db, session, query);
      return new SnapshotCursor(db, session, query, log, parse(reply, "firstBatch"));
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

/**
 * Whether the server reads at the time that it is asked for. MongoDB refuses a time that has not come; a server that
 * takes no notice of the time answers.
 */
export async function pinsReads(db: Db, collection: string): Promise<boolean> {
  const atClusterTime = new Timestamp({ t: Math.floor(Date.now() / 1000) + TIME_TO_COME_SECONDS, i: 1 });
  try {
    await db.command({ find: collection, limit: 1, readConcern: { level: "snapshot", atClusterTime } });
    return false;
  } catch (error) {
    if (codeOf(error) === INVALID_OPTIONS) return true;
    throw error;
  }
}

async function find(db: Db, session: ClientSession, query: SnapshotQuery): Promise<Document> {
  const { collection, filter, projection, time, batchRows, timeoutMs } = query;
  const command = {
    find: collection,
    filter,
    projection,
    batchSize: batchRows,
    maxTimeMS: timeoutMs,
    readConcern: { level: "snapshot", atClusterTime: toTimestamp(time) },
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
