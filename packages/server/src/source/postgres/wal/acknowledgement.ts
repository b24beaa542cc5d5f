import { NO_LSN } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import type { WalSettings } from "./settings.ts";

/** The bounds of an {@link Acknowledgement}. */
export type AcknowledgementLimits = Pick<WalSettings, "maxHistoryAgeMs" | "maxHistoryLogBytes">;

/** All that committed before `lsn` had come by then. */
interface Checkpoint {
  readonly lsn: Lsn;
  readonly atMs: number;
}

const NOTHING: Checkpoint = { lsn: NO_LSN, atMs: 0 };

/** A window has about so many checkpoints by time, and at most so many by bytes: it is exact to a part of it. */
const CHECKPOINTS = 128;

/**
 * Up to where the database may forget its log: one window back, so that what a restarted server reads again is
 * what clients may still ask for. The window is bounded in time and in bytes of the log.
 */
export class Acknowledgement {
  readonly #limits: AcknowledgementLimits;
  readonly #now: () => number;
  #checkpoints: Checkpoint[] = [];
  /** The newest, also when it is none of the checkpoints. */
  #newest: Checkpoint = NOTHING;
  #lsn: Lsn = NO_LSN;
  #maxLogBytes: number;

  constructor(limits: AcknowledgementLimits, now: () => number = Date.now) {
    this.#limits = limits;
    this.#now = now;
    this.#maxLogBytes = limits.maxHistoryLogBytes;
  }

  /** All that was processed. */
  get processedLsn(): Lsn {
    return this.#newest.lsn;
  }

  /** The slot stands here: it never goes back. */
  begin(confirmedLsn: Lsn): void {
    if (confirmedLsn > this.#lsn) this.#lsn = confirmedLsn;
    if (confirmedLsn > this.#newest.lsn) this.#newest = { lsn: confirmedLsn, atMs: this.#now() };
  }

  /** Another slot: its LSNs have nothing to do with those of before. */
  restart(): void {
    this.#checkpoints = [];
    this.#newest = NOTHING;
    this.#lsn = NO_LSN;
  }

  /** The database keeps so much of its log at most, whatever is configured: the window must not cost the slot. */
  limitLogBytes(bytes: number): void {
    this.#maxLogBytes = Math.min(this.#limits.maxHistoryLogBytes, bytes);
  }

  /**
   * All that committed before `lsn` was handed on.
   *
   * @param atMs - when it came, or would have come had this server been there.
   */
  processed(lsn: Lsn, atMs: number): void {
    if (lsn <= this.#newest.lsn) return;
    this.#newest = { lsn, atMs };
    const last = this.#checkpoints.at(-1);
    const isDue =
      last === undefined ||
      atMs - last.atMs >= this.#limits.maxHistoryAgeMs / CHECKPOINTS ||
      Number(lsn - last.lsn) >= this.#maxLogBytes / CHECKPOINTS;
    if (isDue) this.#checkpoints.push(this.#newest);
  }

  /**
   * What the database may be told.
   *
   * @param historyLsn - nothing before it is kept in memory.
   */
  due(historyLsn: Lsn): Lsn {
    const keepFromMs = this.#now() - this.#limits.maxHistoryAgeMs;
    const isOver = ({ lsn, atMs }: Checkpoint): boolean =>
      lsn <= this.#lsn || atMs < keepFromMs || Number(this.#newest.lsn - lsn) > this.#maxLogBytes;
    // What is kept in memory may begin within a transaction that is not complete yet.
    this.#advance(historyLsn < this.#newest.lsn ? historyLsn : this.#newest.lsn);
    let over = 0;
    for (const checkpoint of this.#checkpoints) {
      if (!isOver(checkpoint)) break;
      this.#advance(checkpoint.lsn);
      over += 1;
    }
    if (over > 0) this.#checkpoints = this.#checkpoints.slice(over);
    if (this.#checkpoints.length === 0 && isOver(this.#newest)) this.#advance(this.#newest.lsn);
    return this.#lsn;
  }

  #advance(lsn: Lsn): void {
    if (lsn > this.#lsn) this.#lsn = lsn;
  }
}
