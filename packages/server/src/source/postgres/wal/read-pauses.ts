/** A read from a socket brings 64 KiB at most: behind so much, there is likely more. */
const LONG_READ_BYTES = 48 * 1024;
/** So often in a row at most is it waited for. */
const MAX_LONG_READS = 8;

/**
 * Finds the moments at which nothing more is to be had from a socket for now. What is read at once carries many
 * messages; after a long read, the event loop looks at the socket again: the more is handed on at once, the less each
 * message costs.
 */
export class ReadPauses {
  readonly #onPause: () => void;
  #isDue = false;
  #bytes = 0;
  #longReads = 0;
  #later: NodeJS.Immediate | undefined;

  constructor(onPause: () => void) {
    this.#onPause = onPause;
  }

  /** A message of so many bytes was read. */
  read(bytes: number): void {
    this.#bytes += bytes;
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.#longReads = this.#bytes >= LONG_READ_BYTES ? this.#longReads + 1 : 0;
      this.#bytes = 0;
      clearImmediate(this.#later);
      if (this.#longReads === 0 || this.#longReads === MAX_LONG_READS) this.#pause();
      else this.#pauseAfterNextRead();
    });
  }

  /** Immediates come after the event loop's look at its sockets: the second one after the next look. */
  #pauseAfterNextRead(): void {
    this.#later = setImmediate(() => {
      this.#later = setImmediate(() => {
        this.#pause();
      });
    });
  }

  #pause(): void {
    this.#longReads = 0;
    this.#onPause();
  }
}
