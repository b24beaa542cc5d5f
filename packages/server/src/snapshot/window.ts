import type { SnapshotBatch } from "./snapshot-reading.ts";

/** What a document weighs besides its text. */
const DOCUMENT_OVERHEAD_BYTES = 64;

interface Stored {
  readonly batch: SnapshotBatch;
  readonly bytes: number;
}

/** The batches of a snapshot that were read and are still needed, by number, and how many readers stand before each. */
export class Window {
  #stored: Stored[] = [];
  /** The number of the first batch that is kept. */
  #first = 0;
  #bytes = 0;
  /** How many readers are to take the batch of a number next. */
  readonly #readers = new Map<number, number>();

  /** The number of the first batch that is kept. */
  get first(): number {
    return this.#first;
  }

  /** The number of the batch that is read next. */
  get head(): number {
    return this.#first + this.#stored.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  batchAt(number: number): SnapshotBatch | undefined {
    return this.#stored[number - this.#first]?.batch;
  }

  push(batch: SnapshotBatch): void {
    const bytes = weightOf(batch);
    this.#stored.push({ batch, bytes });
    this.#bytes += bytes;
  }

  /** Lets the first batch go. */
  shift(): void {
    this.#bytes -= this.#stored.shift()?.bytes ?? 0;
    this.#first += 1;
  }

  clear(): void {
    this.#stored = [];
    this.#bytes = 0;
  }

  /** How many readers are to take this batch next. */
  readersAt(number: number): number {
    return this.#readers.get(number) ?? 0;
  }

  enter(number: number): void {
    this.#readers.set(number, this.readersAt(number) + 1);
  }

  leave(number: number): void {
    const left = this.readersAt(number) - 1;
    if (left > 0) this.#readers.set(number, left);
    else this.#readers.delete(number);
  }

  /** Whether the first batch is kept for nobody. */
  get isFirstTaken(): boolean {
    return this.#stored.length > 0 && this.readersAt(this.#first) === 0;
  }
}

function weightOf(batch: SnapshotBatch): number {
  let bytes = 0;
  for (const { documentId, document, hidden = "" } of batch)
    bytes += documentId.length + document.length + hidden.length + DOCUMENT_OVERHEAD_BYTES;
  return bytes;
}
