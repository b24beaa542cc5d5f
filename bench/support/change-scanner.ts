import { CarriedBytes } from "./carried-bytes.ts";
import { readSequence, SEQUENCE_BYTES, SEQUENCE_MARK } from "./sequence-text.ts";

/** Each writer numbers its rows by itself. */
const NUMBERS_PER_WRITER = 100_000_000;

/** The `seq` of a writer's row: of one width, so that it takes no JSON parser to find it. */
export function changeSequence(writer: number, number: number): number {
  if (number >= NUMBERS_PER_WRITER) throw new Error("A writer has run out of numbers.");
  return writer * NUMBERS_PER_WRITER + number;
}

/** The number in a {@link changeSequence}, and whose it is. */
export function partsOf(sequence: number): { readonly writer: number; readonly number: number } {
  const writer = Math.floor(sequence / NUMBERS_PER_WRITER);
  return { writer, number: sequence - writer * NUMBERS_PER_WRITER };
}

/** What a {@link ChangeScanner} looks for. */
export interface OwnChanges {
  /** Row `n` of each writer is of tenant `n % tenants`. */
  readonly tenants: number;
  readonly tenant: number;
}

/** Counts the changes in one connection's bytes, of either transport, and makes sure that they are its own, each once and in order. */
export class ChangeScanner {
  events = 0;
  readonly #own: OwnChanges;
  /** The newest number of each writer. */
  readonly #last: number[] = [];
  readonly #carried = new CarriedBytes();

  constructor(own: OwnChanges) {
    this.#own = own;
  }

  /**
   * Takes the next bytes.
   *
   * @param buffer - has room for `CARRIED_BYTES` before `start`.
   * @param arrivals - the sequence of each event is added.
   * @throws when a change is not the tenant's next one.
   */
  push(buffer: Buffer, start: number, end: number, arrivals?: number[]): void {
    const bytes = this.#carried.putBefore(buffer, start, end);
    let at = 0;
    for (;;) {
      at = bytes.indexOf(SEQUENCE_MARK, at);
      if (at === -1 || at + SEQUENCE_BYTES > bytes.length) break;
      at += SEQUENCE_MARK.length;
      const sequence = readSequence(bytes, at);
      this.#require(sequence);
      this.events += 1;
      arrivals?.push(sequence);
    }
    this.#carried.keepEndOf(bytes);
  }

  #require(sequence: number): void {
    const { tenants, tenant } = this.#own;
    const { writer, number } = partsOf(sequence);
    const last = this.#last[writer];
    this.#last[writer] = number;
    if (number % tenants !== tenant) throw new Error(`Tenant ${tenant} got a change of another tenant.`);
    if (last !== undefined && number !== last + tenants) {
      throw new Error(`Tenant ${tenant} got change ${number} of writer ${writer} after ${last}.`);
    }
  }
}
