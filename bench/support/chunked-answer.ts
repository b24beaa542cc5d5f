const HEAD_END = "\r\n\r\n";
const LINE_END = 0x0a;

/**
 * Takes the chunks out of an HTTP answer while it comes (RFC 9112, 7.1): its head is passed on as it is, then
 * what is in the chunks. Servers may end a chunk, and TCP a read, within an event. An answer without
 * chunks is passed on as it is.
 */
export class ChunkedAnswer {
  readonly #pass: (bytes: Buffer) => void;
  /** What has come of the head; undefined once it is over. */
  #head: string | undefined = "";
  #isChunked = false;
  /** Of the current chunk. */
  #bytesLeft = 0;
  /** What has come of the line before a chunk: its size, and what may follow it. */
  #line = "";

  /** @param pass - gets what is read; parts of what was pushed, so their memory may be used again. */
  constructor(pass: (bytes: Buffer) => void) {
    this.#pass = pass;
  }

  push(bytes: Buffer): void {
    let at = this.#head === undefined ? 0 : this.#takeHead(this.#head, bytes);
    while (at < bytes.length) {
      if (this.#isChunked && this.#bytesLeft === 0) {
        at = this.#takeLine(bytes, at);
        continue;
      }
      const end = this.#isChunked ? Math.min(bytes.length, at + this.#bytesLeft) : bytes.length;
      this.#bytesLeft -= end - at;
      this.#pass(bytes.subarray(at, end));
      at = end;
    }
  }

  /** Returns where in `bytes` the body begins. */
  #takeHead(before: string, bytes: Buffer): number {
    const head = before + bytes.toString("latin1");
    const end = head.indexOf(HEAD_END);
    this.#head = end === -1 ? head : undefined;
    const bodyAt = end === -1 ? bytes.length : end + HEAD_END.length - before.length;
    this.#isChunked = /^transfer-encoding: *chunked\r$/im.test(head.slice(0, end + HEAD_END.length));
    this.#pass(bytes.subarray(0, bodyAt));
    return bodyAt;
  }

  /** The empty line after a chunk is taken as one without a size. Returns where in `bytes` the line ends. */
  #takeLine(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(LINE_END, from);
    this.#line += bytes.toString("latin1", from, end === -1 ? bytes.length : end);
    if (end === -1) return bytes.length;
    const size = Number.parseInt(this.#line, 16);
    if (Number.isNaN(size) && this.#line !== "\r") throw new Error("An HTTP chunk's size is not a number.");
    this.#bytesLeft = Number.isNaN(size) ? 0 : size;
    this.#line = "";
    return end + 1;
  }
}
