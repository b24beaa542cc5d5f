import type { Position } from "@paperdb/protocol";
import { NO_LSN } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";

const GENERATION_DIGITS = 4;
const LSN_DIGITS = 16;
const PLACE_DIGITS = 8;
const POSITION = new RegExp(
  `^[0-9a-z]{${String(GENERATION_DIGITS)}}[0-9a-f]{${String(LSN_DIGITS)}}[0-9a-z]{${String(PLACE_DIGITS)}}$`,
);

/** Each change has so many places: its event or two, and what comes after them. */
const PLACES_PER_CHANGE = 4;
const FIRST = 1;
const SECOND = 2;
const AFTER = 3;

/**
 * How far the stream has come. A position is the slot's generation, the LSN of a commit and
 * a place in its transaction, each of fixed width. Places count the changes that the stream
 * sends, delivered or not, so that a transaction that is streamed again has the same ones.
 */
export class StreamPlace {
  #generation = 0;
  /** The newest change that was seen: its transaction's commit, and its number there; 0: all before the LSN. */
  #lsn: Lsn = NO_LSN;
  #change = 0;
  #prefix = prefixOf(0, NO_LSN);
  #processedLsn: Lsn = NO_LSN;
  #transaction: { readonly lsn: Lsn; changes: number } | undefined;

  /** All that committed before is done: a stream can start here. */
  get processedLsn(): Lsn {
    return this.#processedLsn;
  }

  /** Where a channel stands that has received everything until now: above all positions until now, below those that come. */
  get position(): Position {
    return this.#at(AFTER);
  }

  /** Below those of a transaction. */
  positionBefore(commitLsn: Lsn): Position {
    return prefixOf(this.#generation, commitLsn) + "0".repeat(PLACE_DIGITS);
  }

  /** Of the newest change's event. */
  get changePosition(): Position {
    return this.#at(FIRST);
  }

  /** Of the newest change's second event: the insert that follows a delete. */
  get secondPosition(): Position {
    return this.#at(SECOND);
  }

  /** Another slot, or another history of the database: LSNs cannot be compared with those of before. */
  restart(generation: number): void {
    this.#generation = generation;
    this.#transaction = undefined;
    this.#processedLsn = NO_LSN;
    this.#move(NO_LSN, 0);
  }

  /** The stream has ended, perhaps within a transaction, which comes again from its beginning. */
  interrupt(): void {
    this.#transaction = undefined;
  }

  begin(commitLsn: Lsn): void {
    this.#transaction = { lsn: commitLsn, changes: 0 };
  }

  /** The next change of the transaction. @returns whether it was not seen before. */
  next(): boolean {
    const transaction = this.#transaction;
    if (transaction === undefined) return false;
    transaction.changes += 1;
    const { lsn, changes } = transaction;
    if (lsn < this.#lsn || (lsn === this.#lsn && changes <= this.#change)) return false;
    if (lsn === this.#lsn) this.#change = changes;
    else this.#move(lsn, changes);
    return true;
  }

  commit(endLsn: Lsn): void {
    this.#transaction = undefined;
    this.advance(endLsn);
  }

  /** Between transactions: everything before it was sent. */
  advance(lsn: Lsn): void {
    if (this.#transaction !== undefined) return;
    if (lsn > this.#processedLsn) this.#processedLsn = lsn;
    if (lsn > this.#lsn) this.#move(lsn, 0);
  }

  #move(lsn: Lsn, change: number): void {
    this.#lsn = lsn;
    this.#change = change;
    this.#prefix = prefixOf(this.#generation, lsn);
  }

  #at(place: number): Position {
    const number = this.#change * PLACES_PER_CHANGE + place;
    return this.#prefix + number.toString(36).padStart(PLACE_DIGITS, "0");
  }
}

/** The LSN in a position. */
export function lsnOf(position: Position): Lsn {
  return BigInt(`0x${position.slice(GENERATION_DIGITS, GENERATION_DIGITS + LSN_DIGITS)}`);
}

/** Whether a client's text can be a position of a stream. */
export function isStreamPosition(text: string): boolean {
  return POSITION.test(text);
}

function prefixOf(generation: number, lsn: Lsn): string {
  return (
    generation.toString(36).padStart(GENERATION_DIGITS, "0") + lsn.toString(16).padStart(LSN_DIGITS, "0")
  );
}
