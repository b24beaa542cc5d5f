import type { Position } from "@paperdb/protocol";
import { NO_LSN } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";

const GENERATION_DIGITS = 4;
const LSN_DIGITS = 16;
const PLACE_DIGITS = 8;

/** Each change has so many places: for itself, or its delete and insert, and for resets after it. */
const PLACES_PER_CHANGE = 4;
const RESET_PLACE = 3;

/**
 * Where the stream stands. A position is the slot's generation, the LSN of a commit and
 * a place in its transaction, each of fixed width; the places count the changes that the
 * stream sends, delivered or not, so that a transaction that is streamed again has the same.
 */
export class StreamPlace {
  #generation = 0;
  /** All that committed before it is done. */
  #processedLsn: Lsn = NO_LSN;
  /** The transaction that is under way, and how many of its changes were seen. */
  #transactionLsn: Lsn | undefined;
  #change = 0;
  /** The one that was cut off half-way, and how many of its changes are done. */
  #partial: { readonly lsn: Lsn; readonly changes: number } | undefined;
  #prefix = "";

  constructor() {
    this.#setPrefix();
  }

  /** All that committed before is processed, or lies before the slot. */
  get processedLsn(): Lsn {
    return this.#processedLsn;
  }

  /** Whether a transaction has begun and not ended. */
  get inTransaction(): boolean {
    return this.#transactionLsn !== undefined;
  }

  /** Where a channel stands that has received everything until now. */
  get position(): Position {
    return this.#at(0);
  }

  /** The current change's own position. */
  get changePosition(): Position {
    return this.#at(1);
  }

  /** The second one of the current change, for the insert that follows a delete. */
  get secondPosition(): Position {
    return this.#at(2);
  }

  /** Above everything until now, and below the next change. */
  get resetPosition(): Position {
    return this.#at(RESET_PLACE);
  }

  /** Another slot, or another history of the database: its LSNs cannot be compared with those of before. */
  restart(generation: number): void {
    this.#generation = generation;
    this.#processedLsn = NO_LSN;
    this.#transactionLsn = undefined;
    this.#partial = undefined;
    this.#change = 0;
    this.#setPrefix();
  }

  /** The stream ended, perhaps within a transaction; it will be streamed again from its beginning. */
  interrupt(): void {
    if (this.#transactionLsn === undefined) return;
    const changes = this.#done();
    this.#partial = { lsn: this.#transactionLsn, changes };
    this.#transactionLsn = undefined;
  }

  begin(finalLsn: Lsn): void {
    this.#transactionLsn = finalLsn;
    this.#change = 0;
    if (this.#isNew()) this.#setPrefix();
  }

  /** The next change of the transaction. @returns whether it was not seen before. */
  next(): boolean {
    this.#change += 1;
    return this.#isNew() && this.#change > this.#doneBefore();
  }

  commit(endLsn: Lsn): void {
    this.#transactionLsn = undefined;
    this.#partial = undefined;
    this.advance(endLsn);
  }

  /** Between transactions: the log was read up to here. */
  advance(lsn: Lsn): void {
    if (this.inTransaction || lsn <= this.#processedLsn) return;
    this.#processedLsn = lsn;
    if (this.#partial !== undefined && this.#partial.lsn >= lsn) return;
    this.#partial = undefined;
    this.#change = 0;
    this.#setPrefix();
  }

  #isNew(): boolean {
    return this.#transactionLsn !== undefined && this.#transactionLsn >= this.#processedLsn;
  }

  #doneBefore(): number {
    return this.#partial !== undefined && this.#partial.lsn === this.#transactionLsn
      ? this.#partial.changes
      : 0;
  }

  #done(): number {
    return Math.max(this.#change, this.#doneBefore());
  }

  #at(place: number): Position {
    // While a transaction is streamed again, we stand where it was cut off.
    const change = this.inTransaction ? this.#done() : (this.#partial?.changes ?? this.#change);
    return this.#prefix + (change * PLACES_PER_CHANGE + place).toString(36).padStart(PLACE_DIGITS, "0");
  }

  #setPrefix(): void {
    const lsn = this.#transactionLsn ?? this.#processedLsn;
    this.#prefix =
      this.#generation.toString(36).padStart(GENERATION_DIGITS, "0") +
      lsn.toString(16).padStart(LSN_DIGITS, "0");
  }
}
