import { ByteReader, PgoutputError } from "./byte-reader.ts";
import { readRelation } from "./relation.ts";
import type { Relation } from "./relation.ts";
import { readTuple } from "./tuple.ts";
import type { Tuple } from "./tuple.ts";

/** A transaction begins; its changes follow, and then its commit. */
interface BeginMessage {
  readonly kind: "begin";
  /** The LSN of its commit. */
  readonly finalLsn: bigint;
  readonly committedAtMs: number;
  readonly xid: number;
}

interface CommitMessage {
  readonly kind: "commit";
  readonly commitLsn: bigint;
  /** Behind the commit: what is acknowledged when all of it is processed. */
  readonly endLsn: bigint;
}

/** The tuples of this relation that follow have these columns. */
export interface RelationMessage {
  readonly kind: "relation";
  readonly relation: Relation;
}

export interface InsertMessage {
  readonly kind: "insert";
  readonly relation: Relation;
  readonly row: Tuple;
}

export interface UpdateMessage {
  readonly kind: "update";
  readonly relation: Relation;
  /** The row before; its identity only, or undefined, unless the table has REPLICA IDENTITY FULL. */
  readonly old: Tuple | undefined;
  readonly row: Tuple;
}

export interface DeleteMessage {
  readonly kind: "delete";
  readonly relation: Relation;
  readonly old: Tuple;
}

export interface TruncateMessage {
  readonly kind: "truncate";
  readonly relations: readonly Relation[];
}

/** What `pg_logical_emit_message` wrote. */
export interface LogicalMessage {
  readonly kind: "message";
  /** Whether it belongs to the transaction that it comes in; else it comes between transactions. */
  readonly transactional: boolean;
  readonly lsn: bigint;
  readonly prefix: string;
  /** In the database's own encoding: the server does not convert it. A view, as tuples are. */
  readonly content: Buffer;
}

export type WalMessage =
  | BeginMessage
  | CommitMessage
  | RelationMessage
  | InsertMessage
  | UpdateMessage
  | DeleteMessage
  | TruncateMessage
  | LogicalMessage
  /** An origin, or the name of a type: nothing to do. */
  | { readonly kind: "other" };

const OTHER: WalMessage = { kind: "other" };
const POSTGRES_EPOCH_MS = 946_684_800_000; // 2000-01-01
const NEW_TUPLE = 0x4e; // N
const OLD_TUPLE = 0x4f; // O
const KEY_TUPLE = 0x4b; // K

/**
 * Parses the messages of pgoutput, protocol version 1, values as text, see
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 *
 * It remembers the relations of one run of the stream: each START_REPLICATION needs another parser.
 */
export class PgoutputParser {
  readonly #relations = new Map<number, Relation>();

  /** The latest description of each, by its oid. */
  get relations(): ReadonlyMap<number, Relation> {
    return this.#relations;
  }

  /** Nothing of it comes any more, unless it is described again. */
  forget(relation: Relation): void {
    if (this.#relations.get(relation.oid) === relation) this.#relations.delete(relation.oid);
  }

  /**
   * @param bytes - the payload of one XLogData. What is returned has views of it: they are used, or copied, before
   *   the socket is read again, since `pg` reuses its buffer.
   * @throws {PgoutputError} whatever is not a message; the stream cannot go on then.
   */
  parse(bytes: Buffer): WalMessage {
    switch (bytes[0]) {
      case 0x49: // I
        return this.#insert(new ByteReader(bytes, 1, "Insert"));
      case 0x55: // U
        return this.#update(new ByteReader(bytes, 1, "Update"));
      case 0x44: // D
        return this.#delete(new ByteReader(bytes, 1, "Delete"));
      case 0x42: // B
        return begin(new ByteReader(bytes, 1, "Begin"));
      case 0x43: // C
        return commit(new ByteReader(bytes, 1, "Commit"));
      case 0x52: // R
        return this.#relation(new ByteReader(bytes, 1, "Relation"));
      case 0x54: // T
        return this.#truncate(new ByteReader(bytes, 1, "Truncate"));
      case 0x4d: // M
        return logicalMessage(new ByteReader(bytes, 1, "Message"));
      case 0x4f: // O
      case 0x59: // Y
        return OTHER;
      case undefined:
        throw new PgoutputError("The replication stream sent an empty message.");
      default:
        throw new PgoutputError(
          `The replication stream sent a message of the unknown kind ${String(bytes[0])}.`,
        );
    }
  }

  #relation(reader: ByteReader): RelationMessage {
    const relation = readRelation(reader);
    this.#relations.set(relation.oid, relation);
    return { kind: "relation", relation };
  }

  #insert(reader: ByteReader): InsertMessage {
    const relation = this.#known(reader);
    const row = newTuple(reader, reader.uint8(), relation);
    reader.end();
    return { kind: "insert", relation, row };
  }

  #update(reader: ByteReader): UpdateMessage {
    const relation = this.#known(reader);
    let kind = reader.uint8();
    let old: Tuple | undefined;
    if (kind !== NEW_TUPLE) {
      old = oldTuple(reader, kind, relation);
      kind = reader.uint8();
    }
    const row = newTuple(reader, kind, relation);
    reader.end();
    return { kind: "update", relation, old, row };
  }

  #delete(reader: ByteReader): DeleteMessage {
    const relation = this.#known(reader);
    const old = oldTuple(reader, reader.uint8(), relation);
    reader.end();
    return { kind: "delete", relation, old };
  }

  #truncate(reader: ByteReader): TruncateMessage {
    const relations: Relation[] = [];
    let left = reader.uint32();
    reader.uint8(); // CASCADE, RESTART IDENTITY: all tables that are emptied are named anyway.
    for (; left > 0; left--) relations.push(this.#known(reader));
    reader.end();
    return { kind: "truncate", relations };
  }

  #known(reader: ByteReader): Relation {
    const oid = reader.uint32();
    const relation = this.#relations.get(oid);
    if (relation === undefined) throw reader.error(`relation ${String(oid)} was not described before`);
    return relation;
  }
}

function newTuple(reader: ByteReader, kind: number, { columns }: Relation): Tuple {
  if (kind !== NEW_TUPLE) throw reader.error(`a new row is of the unknown kind ${String(kind)}`);
  return readTuple(reader, columns.length, true);
}

function oldTuple(reader: ByteReader, kind: number, { columns }: Relation): Tuple {
  if (kind !== OLD_TUPLE && kind !== KEY_TUPLE) {
    throw reader.error(`an old row is of the unknown kind ${String(kind)}`);
  }
  return readTuple(reader, columns.length, kind === OLD_TUPLE);
}

function begin(reader: ByteReader): BeginMessage {
  const finalLsn = reader.uint64();
  const committedAtMs = Number(reader.int64() / 1_000n) + POSTGRES_EPOCH_MS;
  const xid = reader.uint32();
  reader.end();
  return { kind: "begin", finalLsn, committedAtMs, xid };
}

function commit(reader: ByteReader): CommitMessage {
  reader.uint8(); // Flags, none yet.
  const commitLsn = reader.uint64();
  const endLsn = reader.uint64();
  reader.int64(); // The time, which Begin had.
  reader.end();
  return { kind: "commit", commitLsn, endLsn };
}

function logicalMessage(reader: ByteReader): LogicalMessage {
  const transactional = (reader.uint8() & 1) === 1;
  const lsn = reader.uint64();
  const prefix = reader.string();
  const content = reader.view(reader.uint32());
  reader.end();
  return { kind: "message", transactional, lsn, prefix, content };
}
