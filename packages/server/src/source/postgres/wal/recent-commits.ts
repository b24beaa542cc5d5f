import type { Visibility } from "../snapshot/visibility.ts";
import type { Lsn } from "./lsn.ts";

/** So many transactions are remembered before it is asked which of them are visible. */
const FORGET_AT = 4_096;
/** So many, and the stream waits for the answer. */
const MAX_REMEMBERED = 65_536;

/**
 * The transactions of the stream that snapshots may not see yet: a commit is in the log, and may be streamed, before it
 * is visible, with synchronous replication for as long as a standby takes.
 */
export class RecentCommits {
  readonly #fetchVisibility: () => Promise<Visibility>;
  /** Where each transaction committed, in the order of the stream. */
  readonly #commits = new Map<number, Lsn>();
  #forgetAt = FORGET_AT;
  #forgetting: Promise<void> | undefined;

  /** @param fetchVisibility - what a snapshot that is taken now sees. */
  constructor(fetchVisibility: () => Promise<Visibility>) {
    this.#fetchVisibility = fetchVisibility;
  }

  /** The stream begins a transaction. @returns what it has to wait for, so that this does not grow without bound. */
  add(transaction: number, commitLsn: Lsn): undefined | Promise<void> {
    this.#commits.set(transaction, commitLsn);
    if (this.#commits.size < this.#forgetAt) return undefined;
    this.#forgetting ??= this.#forget().finally(() => {
      this.#forgetting = undefined;
    });
    if (this.#commits.size >= this.#forgetAt - FORGET_AT + MAX_REMEMBERED) return this.#forgetting;
    // Whoever waits for it later gets its failure.
    this.#forgetting.catch(() => undefined);
    return undefined;
  }

  /**
   * A snapshot is about to be taken.
   *
   * @returns where the first transaction committed that was streamed until now, but is not seen by it. Others that are
   *   taken meanwhile may see more, and be answered first: what they see is forgotten here, not for this one.
   */
  expect(): (visibility: Visibility) => Lsn | undefined {
    const streamed = [...this.#commits];
    return (visibility) => {
      this.#forgetSeen(visibility);
      let first: Lsn | undefined;
      for (const [transaction, commitLsn] of streamed) {
        if ((first === undefined || commitLsn < first) && !visibility.sees(transaction)) first = commitLsn;
      }
      return first;
    };
  }

  /** The stream goes on in another history of the database, whose snapshots know nothing of these. */
  clear(): void {
    this.#commits.clear();
    this.#forgetAt = FORGET_AT;
  }

  async #forget(): Promise<void> {
    this.#forgetSeen(await this.#fetchVisibility());
    this.#forgetAt = this.#commits.size + FORGET_AT;
  }

  #forgetSeen(visibility: Visibility): void {
    for (const transaction of this.#commits.keys()) {
      if (visibility.sees(transaction)) this.#commits.delete(transaction);
    }
  }
}
