const SEQUENCE = Buffer.from('"seq":"');
const DIGITS = 10;
const ZERO = 0x30;
/** Each writer numbers its rows by itself. */
const NUMBERS_PER_WRITER = 100_000_000;

/** So much of what was read before is looked at again: a number may come in two parts, and never as a whole. */
export const CARRIED_BYTES: number = SEQUENCE.length + DIGITS - 1;

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
  readonly #carried = Buffer.alloc(CARRIED_BYTES);
  #carriedBytes = 0;

  constructor(own: OwnChanges) {
    this.#own = own;
  }

  /**
   * Takes the next bytes.
   *
   * @param buffer - has room for {@link CARRIED_BYTES} before `start`.
   * @param arrivals - the sequence of each event is added.
   * @throws when a change is not the tenant's next one.
   */
  push(buffer: Buffer, start: number, end: number, arrivals?: number[]): void {
    const from = start - this.#carriedBytes;
    this.#carried.copy(buffer, from, 0, this.#carriedBytes);
    const bytes = buffer.subarray(from, end);
    let at = 0;
    for (;;) {
      at = bytes.indexOf(SEQUENCE, at);
      if (at === -1 || at + SEQUENCE.length + DIGITS > bytes.length) break;
      at += SEQUENCE.length;
      const sequence = sequenceAt(bytes, at);
      this.#require(sequence);
      this.events += 1;
      arrivals?.push(sequence);
    }
    this.#carriedBytes = Math.min(CARRIED_BYTES, bytes.length);
    bytes.copy(this.#carried, 0, bytes.length - this.#carriedBytes);
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

function sequenceAt(bytes: Buffer, from: number): number {
  let value = 0;
  for (let index = from; index < from + DIGITS; index += 1) value = value * 10 + (bytes[index] ?? 0) - ZERO;
  return value;
}
