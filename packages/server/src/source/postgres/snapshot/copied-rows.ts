import type { Connection, Submittable } from "pg";
import type { SnapshotDocument } from "../../change-source.ts";

/** How a batch is bounded. */
export interface BatchLimits {
  readonly batchRows: number;
  /** At which a batch ends; a single larger document is one of its own. */
  readonly batchBytes: number;
}

/** What begins every binary copy: a signature, flags and an extension that is empty. */
const HEADER = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
const END = -1;
const NULL = -1;
const COLUMNS = 2;

/** Batches that wait before the socket is paused. */
const MAX_WAITING = 2;

/**
 * Documents of a binary COPY of two columns, id and row, in batches. The socket is paused while batches wait, so that
 * the database goes on only as they are taken.
 */
export class CopiedRows implements Submittable {
  /** Resolves once the database has sent all, or rejects. */
  readonly finished: Promise<void>;
  readonly #sql: string;
  readonly #limits: BatchLimits;
  readonly #decode: (id: string, row: string | undefined) => SnapshotDocument;
  #connection: Connection | undefined;
  #batch: SnapshotDocument[] = [];
  #batchBytes = 0;
  #waiting: (readonly SnapshotDocument[])[] = [];
  #failure: unknown;
  #isOver = false;
  #isPaused = false;
  #hasBegun = false;
  #wake: () => void = () => undefined;
  #settle: { readonly resolve: () => void; readonly reject: (reason: unknown) => void } | undefined;

  /** @param decode - its row is undefined where the column is NULL. Throws what the iteration throws. */
  constructor(
    sql: string,
    limits: BatchLimits,
    decode: (id: string, row: string | undefined) => SnapshotDocument,
  ) {
    this.#sql = sql;
    this.#limits = limits;
    this.#decode = decode;
    this.finished = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  /** The next batch; undefined after the last. */
  async next(): Promise<readonly SnapshotDocument[] | undefined> {
    for (;;) {
      const batch = this.#waiting.shift();
      if (batch !== undefined) {
        if (this.#waiting.length === 0) this.#resume();
        return batch;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  submit(connection: Connection): void {
    this.#connection = connection;
    connection.query(this.#sql);
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    if (this.#failure !== undefined) return;
    try {
      this.#take(chunk);
    } catch (error) {
      this.#fail(error);
      // The rest is not wanted, and the connection cannot be used before it has all come.
      this.#connection?.stream.destroy();
    }
  }

  handleCommandComplete(): void {
    this.#push();
  }

  handleReadyForQuery(): void {
    if (this.#failure !== undefined) return;
    this.#isOver = true;
    this.#settle?.resolve();
    this.#wake();
  }

  handleError(error: unknown): void {
    if (this.#failure === undefined) this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#waiting = [];
    this.#batch = [];
    this.#settle?.reject(error);
    this.#wake();
  }

  /** The server sends each row in a message of its own; what begins and ends the copy may be with one. */
  #take(chunk: Buffer): void {
    let offset = 0;
    if (!this.#hasBegun) {
      if (chunk.compare(HEADER, 0, HEADER.length, 0, HEADER.length) !== 0) throw malformed();
      this.#hasBegun = true;
      offset = HEADER.length;
    }
    while (offset < chunk.length) {
      const columns = chunk.readInt16BE(offset);
      offset += 2;
      if (columns === END) return;
      if (columns !== COLUMNS) throw malformed();
      const id = readField(chunk, offset);
      const row = readField(chunk, id.end);
      if (id.text === undefined) throw malformed();
      this.#add(this.#decode(id.text, row.text), row.end - offset);
      offset = row.end;
    }
  }

  #add(document: SnapshotDocument, bytes: number): void {
    const { batchRows, batchBytes } = this.#limits;
    if (this.#batch.length > 0 && this.#batchBytes + bytes > batchBytes) this.#push();
    this.#batch.push(document);
    this.#batchBytes += bytes;
    if (this.#batch.length >= batchRows || this.#batchBytes >= batchBytes) this.#push();
  }

  #push(): void {
    if (this.#batch.length === 0) return;
    this.#waiting.push(this.#batch);
    this.#batch = [];
    this.#batchBytes = 0;
    if (this.#waiting.length >= MAX_WAITING && !this.#isPaused) {
      this.#isPaused = true;
      this.#connection?.stream.pause();
    }
    this.#wake();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#connection?.stream.resume();
  }
}

function readField(
  chunk: Buffer,
  offset: number,
): { readonly text: string | undefined; readonly end: number } {
  const length = chunk.readInt32BE(offset);
  const start = offset + 4;
  if (length === NULL) return { text: undefined, end: start };
  const end = start + length;
  if (length < 0 || end > chunk.length) throw malformed();
  return { text: chunk.toString("utf8", start, end), end };
}

function malformed(): Error {
  return new Error("The database sent rows that cannot be read.");
}
