/** A message of the stream is not what the protocol says. Its text has no data of rows. */
export class PgoutputError extends Error {
  override readonly name = "PgoutputError";
}

/** Reads the fields of one message in their order; what is not there is an error. */
export class ByteReader {
  readonly bytes: Buffer;
  /** The place of the next field. */
  offset: number;
  readonly #message: string;

  /** @param message - what is read, for errors. */
  constructor(bytes: Buffer, offset: number, message: string) {
    this.bytes = bytes;
    this.offset = offset;
    this.#message = message;
  }

  uint8(): number {
    return this.bytes.readUInt8(this.#take(1));
  }

  uint16(): number {
    return this.bytes.readUInt16BE(this.#take(2));
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.#take(4));
  }

  int32(): number {
    return this.bytes.readInt32BE(this.#take(4));
  }

  uint64(): bigint {
    return this.bytes.readBigUInt64BE(this.#take(8));
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.#take(8));
  }

  /** A text that a NUL ends. */
  string(): string {
    const end = this.bytes.indexOf(0, this.offset);
    if (end === -1) throw this.error("a text has no end");
    const text = this.bytes.toString("utf8", this.offset, end);
    this.offset = end + 1;
    return text;
  }

  /** A view of the next bytes. */
  view(length: number): Buffer {
    const start = this.#take(length);
    return this.bytes.subarray(start, start + length);
  }

  /** The message must be over. */
  end(): void {
    if (this.offset !== this.bytes.length) {
      throw this.error(`${String(this.bytes.length - this.offset)} bytes follow its end`);
    }
  }

  error(problem: string): PgoutputError {
    return new PgoutputError(
      `The replication stream sent a malformed ${this.#message} message of ${String(this.bytes.length)} bytes: at byte ${String(this.offset)}, ${problem}.`,
    );
  }

  #take(length: number): number {
    const start = this.offset;
    if (start + length > this.bytes.length) {
      throw this.error(`${String(length)} bytes are expected, ${String(this.bytes.length - start)} are left`);
    }
    this.offset = start + length;
    return start;
  }
}
