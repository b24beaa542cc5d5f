import type { Logger } from "pino";
import type { Acknowledgement } from "./acknowledgement.ts";
import type { Lsn } from "./lsn.ts";
import type { SlotKeeper } from "./slot.ts";

/**
 * Tells the database what it may forget, but never more than was recorded before: a slot that stands further on
 * is not the one of before, or has served somebody else.
 */
export class AcknowledgementRecord {
  readonly #acknowledgement: Acknowledgement;
  readonly #slots: Pick<SlotKeeper, "recordConfirmedAtMost">;
  readonly #log: Logger;
  #recordedLsn: Lsn;
  #recording = false;

  /** @param confirmedLsn - where the slot stands. */
  constructor(
    acknowledgement: Acknowledgement,
    slots: Pick<SlotKeeper, "recordConfirmedAtMost">,
    log: Logger,
    confirmedLsn: Lsn,
  ) {
    this.#acknowledgement = acknowledgement;
    this.#slots = slots;
    this.#log = log;
    this.#recordedLsn = confirmedLsn;
  }

  /** See {@link Acknowledgement.processed}. */
  processed(lsn: Lsn, atMs: number): void {
    this.#acknowledgement.processed(lsn, atMs);
  }

  /**
   * What the database may be told now.
   *
   * @param historyLsn - nothing before it is kept in memory.
   */
  due(historyLsn: Lsn): Lsn {
    const due = this.#acknowledgement.due(historyLsn);
    if (due <= this.#recordedLsn) return due;
    void this.#record();
    // Recording is written to the log as well: what is due may always be a little further.
    return this.#recordedLsn;
  }

  /** As far as was processed, which is a window further: so it is done once in a window. */
  async #record(): Promise<void> {
    if (this.#recording) return;
    this.#recording = true;
    const lsn = this.#acknowledgement.processedLsn;
    try {
      await this.#slots.recordConfirmedAtMost(lsn);
      this.#recordedLsn = lsn;
    } catch (error) {
      // Asked for again in a moment.
      this.#log.debug({ reason: String(error) }, "Cannot record what the slot is told yet");
    }
    this.#recording = false;
  }
}
