import { readSequence, SEQUENCE_BYTES, SEQUENCE_MARK } from "./sequence-text.ts";

/** What of a match can be in one chunk while its end is in the next one. */
const CARRIED_BYTES = SEQUENCE_BYTES - 1;

const scratch = Buffer.alloc(2 * CARRIED_BYTES);

/**
 * Finds `"seq":"0000000001"` in a stream, whatever it is framed in, wherever
 * its chunks end.
 *
 * Events of one size come at one distance, so the next is looked for there
 * first. It counts as found only if it has the number that comes next:
 * otherwise there may be others before it.
 */
export class SequenceScanner {
  readonly #found: (sequence: number) => void;
  /** Bytes of the stream before the chunk. */
  #chunkStart = 0;
  /** In the stream, of the last match. */
  #lastAt = -1;
  #lastSequence = -1;
  #stride = 0;
  #carry: Buffer | undefined;
  #carried = 0;

  /** @param found - told of each sequence, in the order of the stream. */
  constructor(found: (sequence: number) => void) {
    this.#found = found;
  }

  /** Takes the next bytes. They are not kept, so their memory may be used again. */
  push(chunk: Buffer): void {
    let from = this.#carried === 0 ? 0 : this.#pushAcross(chunk);
    for (;;) {
      const at = this.#expectedAt(chunk, from);
      const next = at === -1 ? chunk.indexOf(SEQUENCE_MARK, from) : at;
      if (next === -1 || next + SEQUENCE_BYTES > chunk.length) break;
      this.#match(next, readSequence(chunk, next + SEQUENCE_MARK.length));
      from = next + SEQUENCE_BYTES;
    }
    this.#keep(chunk, from);
    this.#chunkStart += chunk.length;
  }

  /** Where the next one is, if it is where it is expected; otherwise -1. */
  #expectedAt(chunk: Buffer, from: number): number {
    const at = this.#lastAt + this.#stride - this.#chunkStart;
    if (this.#stride === 0 || at < from || at + SEQUENCE_BYTES > chunk.length || !hasMark(chunk, at))
      return -1;
    return readSequence(chunk, at + SEQUENCE_MARK.length) === this.#lastSequence + 1 ? at : -1;
  }

  #match(at: number, sequence: number): void {
    const position = this.#chunkStart + at;
    this.#stride = this.#lastAt === -1 ? 0 : position - this.#lastAt;
    this.#lastAt = position;
    this.#lastSequence = sequence;
    this.#found(sequence);
  }

  /** Finds a match that began before this chunk; returns where the search in the chunk begins. */
  #pushAcross(chunk: Buffer): number {
    const carried = this.#carried;
    this.#carry?.copy(scratch, 0, 0, carried);
    const added = chunk.copy(scratch, carried, 0, Math.min(chunk.length, CARRIED_BYTES));
    const both = scratch.subarray(0, carried + added);
    const at = both.indexOf(SEQUENCE_MARK);
    if (at === -1 || at >= carried || at + SEQUENCE_BYTES > both.length) return 0;
    this.#match(at - carried, readSequence(both, at + SEQUENCE_MARK.length));
    return at + SEQUENCE_BYTES - carried;
  }

  /** Keeps the end of the stream, of which a match may begin; `from` is where the last match ended. */
  #keep(chunk: Buffer, from: number): void {
    const fresh = Math.min(CARRIED_BYTES, chunk.length - from);
    const older = from > 0 ? 0 : Math.min(this.#carried, CARRIED_BYTES - fresh);
    this.#carry ??= Buffer.allocUnsafe(CARRIED_BYTES);
    if (older > 0) this.#carry.copyWithin(0, this.#carried - older, this.#carried);
    chunk.copy(this.#carry, older, chunk.length - fresh);
    this.#carried = older + fresh;
  }
}

function hasMark(chunk: Buffer, at: number): boolean {
  for (let index = 0; index < SEQUENCE_MARK.length; index += 1) {
    if (chunk[at + index] !== SEQUENCE_MARK[index]) return false;
  }
  return true;
}
