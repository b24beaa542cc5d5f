import type { Pool } from "pg";

const SNAPSHOT = /^(\d+):(\d+):(\d+(?:,\d+)*)?$/;

/**
 * Which transactions a snapshot sees: those that had committed when it was taken.
 *
 * Transactions are told apart by the lower 32 bits of their numbers, which is all that the replication stream has;
 * numbers in use at the same time are less than 2^31 apart.
 */
export class Visibility {
  /** The lower half of the first number that was not yet given out. */
  readonly #next: number;
  /** How far before {@link #next} the oldest transaction was that had not ended. */
  readonly #oldest: number;
  /** The same of those that had not ended. */
  readonly #running: ReadonlySet<number>;

  /** @param text - `xmin:xmax:xip,…`, as `pg_current_snapshot()` has it. */
  constructor(text: string) {
    const match = SNAPSHOT.exec(text);
    if (match === null) throw new Error("The database sent a snapshot that is none.");
    const [, oldest = "", next = "", running = ""] = match;
    const nextNumber = BigInt(next);
    const before = (number: string): number => Number(BigInt(number) - nextNumber);
    this.#next = Number(nextNumber & 0xffff_ffffn);
    this.#oldest = before(oldest);
    this.#running = new Set(running === "" ? [] : running.split(",").map(before));
  }

  /** Whether it sees what an event's transaction did. */
  saw(transaction: number | undefined): boolean {
    if (transaction === undefined) throw new Error("An event does not say which transaction it is of.");
    return this.sees(transaction);
  }

  /** @param transaction - a top-level transaction's number, or its lower 32 bits. */
  sees(transaction: number): boolean {
    const distance = ((transaction % 2 ** 32) - this.#next) | 0;
    return distance < this.#oldest || (distance < 0 && !this.#running.has(distance));
  }
}

/** What a snapshot that is taken now sees. */
export async function fetchVisibility(pool: Pool): Promise<Visibility> {
  const result = await pool.query<{ seen: string }>(
    "select pg_catalog.pg_current_snapshot()::pg_catalog.text as seen",
  );
  return new Visibility(result.rows[0]?.seen ?? "");
}
