import type { ChangeType, DocumentChange, Position } from "@paperdb/protocol";
import type { ChannelKey, SourceEvent } from "../../change-source.ts";

/** An event of a document. */
export interface DocumentEvent extends SourceEvent {
  readonly body: DocumentChange;
}

/** Where an event is among the bytes of all that ever were. */
export type EventAddress = number;

/** Bytes, and the same as numbers. */
interface Chunk {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly doubles: Float64Array;
}

const CHUNK_BYTES = 1024 * 1024;
/** Of those that are free: what comes takes their place. */
const MAX_SPARE_CHUNKS = 2;
/** UTF-8 has no more for a code unit. */
const MAX_BYTES_PER_UNIT = 3;
/** The bytes of longer texts are counted, so that not three times as many are set aside. */
const MAX_UNCOUNTED_UNITS = 65_536;

// A record: a header of numbers of four bytes, of which the first two are the time as a double, and then all texts as
// one, whose lengths are counted in code units.
const TRANSACTION = 2;
const FLAGS = 3;
const TEXT_BYTES = 4;
const LENGTHS = 5;
const TEXTS = 6;
const HEADER_BYTES = 4 * (LENGTHS + TEXTS);
/** Each record begins at a multiple, so that its numbers can be written as such. */
const ALIGNMENT_BYTES = 8;

const TYPES: readonly ChangeType[] = ["insert", "update", "replace", "delete"];
const TYPE_MASK = 3;
const HAS_TRANSACTION = 4;
const HAS_PRIOR = 8;
const HAS_HIDDEN = 16;
const HAS_PRIOR_HIDDEN = 32;

/**
 * Events as bytes outside of the heap, oldest first: thousands of them are kept for minutes, and the garbage collector
 * would have to look at each again and again, though hardly any is ever asked for.
 */
export class EventBytes {
  readonly #chunks = new Map<number, Chunk>();
  #spare: Chunk[] = [];
  #first = 0;
  #end: EventAddress = 0;

  /** @returns where it is. Addresses ascend. */
  add({ position, committedAtMs, transaction, body }: DocumentEvent): EventAddress {
    const { type, documentId, document, prior, hidden, priorHidden } = body;
    const text = position + documentId + document + (prior ?? "") + (hidden ?? "") + (priorHidden ?? "");
    const address = this.#reserve(HEADER_BYTES + maxBytesOf(text));
    const { bytes, words, doubles } = this.#chunk(address);
    const offset = offsetOf(address);
    const word = offset / 4;
    doubles[offset / 8] = committedAtMs ?? Number.NaN;
    words[word + TRANSACTION] = transaction ?? 0;
    words[word + FLAGS] =
      TYPES.indexOf(type) +
      (transaction === undefined ? 0 : HAS_TRANSACTION) +
      (prior === undefined ? 0 : HAS_PRIOR) +
      (hidden === undefined ? 0 : HAS_HIDDEN) +
      (priorHidden === undefined ? 0 : HAS_PRIOR_HIDDEN);
    words[word + LENGTHS] = position.length;
    words[word + LENGTHS + 1] = documentId.length;
    words[word + LENGTHS + 2] = document.length;
    words[word + LENGTHS + 3] = prior?.length ?? 0;
    words[word + LENGTHS + 4] = hidden?.length ?? 0;
    words[word + LENGTHS + 5] = priorHidden?.length ?? 0;
    const textBytes = bytes.write(text, offset + HEADER_BYTES);
    words[word + TEXT_BYTES] = textBytes;
    this.#end = aligned(address + HEADER_BYTES + textBytes);
    return address;
  }

  /** The event of a channel as it was added. */
  read(address: EventAddress, channel: ChannelKey): DocumentEvent {
    const chunk = this.#chunk(address);
    const offset = offsetOf(address);
    const flags = wordOf(chunk, offset, FLAGS);
    const committedAtMs = chunk.doubles[offset / 8] ?? Number.NaN;
    const [position = "", documentId = "", document = "", prior = "", hidden = "", priorHidden = ""] = texts(
      chunk,
      offset,
    );
    return {
      channel,
      position,
      committedAtMs: Number.isNaN(committedAtMs) ? undefined : committedAtMs,
      ...((flags & HAS_TRANSACTION) !== 0 && { transaction: wordOf(chunk, offset, TRANSACTION) }),
      body: {
        type: TYPES[flags & TYPE_MASK] ?? "insert",
        documentId,
        document,
        ...((flags & HAS_PRIOR) !== 0 && { prior }),
        ...((flags & HAS_HIDDEN) !== 0 && { hidden }),
        ...((flags & HAS_PRIOR_HIDDEN) !== 0 && { priorHidden }),
      },
    };
  }

  /** How many bytes the texts of an event have. */
  textBytes(address: EventAddress): number {
    return wordOf(this.#chunk(address), offsetOf(address), TEXT_BYTES);
  }

  position(address: EventAddress): Position {
    const chunk = this.#chunk(address);
    const offset = offsetOf(address);
    const start = offset + HEADER_BYTES;
    // One byte for each of its characters.
    return chunk.bytes.toString("latin1", start, start + wordOf(chunk, offset, LENGTHS));
  }

  /** How much memory is set aside. */
  get allocatedBytes(): number {
    return [...this.#chunks.values(), ...this.#spare].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** Gives back what is before an address. */
  forgetBefore(address: EventAddress): void {
    for (const last = chunkOf(address); this.#first < last; this.#first++) {
      const chunk = this.#chunks.get(this.#first);
      this.#chunks.delete(this.#first);
      const isSpare = chunk?.bytes.length === CHUNK_BYTES && this.#spare.length < MAX_SPARE_CHUNKS;
      if (isSpare) this.#spare.push(chunk);
    }
  }

  /** Gives back everything. */
  clear(): void {
    this.#chunks.clear();
    this.#spare = [];
    this.#first = 0;
    this.#end = 0;
  }

  /** A place for so many bytes. */
  #reserve(bytes: number): EventAddress {
    const number = chunkOf(this.#end);
    const chunk = this.#chunks.get(number);
    if (chunk !== undefined && offsetOf(this.#end) + bytes <= chunk.bytes.length) return this.#end;
    const next = chunk === undefined ? number : number + 1;
    // What is larger than a chunk has one of its own.
    const isOrdinary = bytes <= CHUNK_BYTES;
    const fresh = isOrdinary ? this.#spare.pop() : undefined;
    this.#chunks.set(next, fresh ?? createChunk(isOrdinary ? CHUNK_BYTES : aligned(bytes)));
    return next * CHUNK_BYTES;
  }

  #chunk(address: EventAddress): Chunk {
    const chunk = this.#chunks.get(chunkOf(address));
    if (chunk === undefined) throw new Error("The event was forgotten.");
    return chunk;
  }
}

function chunkOf(address: EventAddress): number {
  return Math.floor(address / CHUNK_BYTES);
}

function offsetOf(address: EventAddress): number {
  return address - chunkOf(address) * CHUNK_BYTES;
}

function maxBytesOf(text: string): number {
  return text.length > MAX_UNCOUNTED_UNITS ? Buffer.byteLength(text) : text.length * MAX_BYTES_PER_UNIT;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

function createChunk(length: number): Chunk {
  const bytes = Buffer.allocUnsafeSlow(length);
  const { buffer } = bytes;
  return { bytes, words: new Uint32Array(buffer), doubles: new Float64Array(buffer) };
}

/** A number of the header of the record at an offset. */
function wordOf({ words }: Chunk, offset: number, place: number): number {
  return words[offset / 4 + place] ?? 0;
}

/** The texts of a record, in their order. */
function texts(chunk: Chunk, offset: number): readonly string[] {
  const start = offset + HEADER_BYTES;
  const all = chunk.bytes.toString("utf8", start, start + wordOf(chunk, offset, TEXT_BYTES));
  let end = 0;
  return Array.from({ length: TEXTS }, (_, index) => {
    const from = end;
    end += wordOf(chunk, offset, LENGTHS + index);
    return all.slice(from, end);
  });
}
