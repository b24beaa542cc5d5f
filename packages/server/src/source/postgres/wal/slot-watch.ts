import type { Logger } from "pino";
import type { WalSettings } from "./settings.ts";
import type { SlotKeeper, SlotStatus } from "./slot.ts";
import type { WalStats } from "./stats.ts";

const MEBIBYTE = 1024 * 1024;

/** Looks at how much of the log the slot keeps from being removed. */
export class SlotWatch {
  readonly #slots: SlotKeeper;
  readonly #settings: Pick<WalSettings, "maxSlotLagBytes">;
  readonly #stats: WalStats;
  readonly #log: Logger;
  readonly #tell: (detail: string | undefined) => void;
  #told: string | undefined;

  /** @param tell - what is wrong with a slot that works, or undefined. */
  constructor(
    slots: SlotKeeper,
    settings: Pick<WalSettings, "maxSlotLagBytes">,
    stats: WalStats,
    log: Logger,
    tell: (detail: string | undefined) => void,
  ) {
    this.#slots = slots;
    this.#settings = settings;
    this.#stats = stats;
    this.#log = log;
    this.#tell = tell;
  }

  async look(): Promise<void> {
    const status = await this.#slots.fetchStatus();
    if (status === undefined) return;
    this.#stats.slotLagBytes = status.lagBytes;
    const kind = kindOfTrouble(status, this.#settings.maxSlotLagBytes);
    if (kind !== undefined && kind !== this.#told) {
      this.#log.warn({ ...status, slot: this.#slots.name }, "The replication slot is far behind");
    }
    this.#told = kind;
    this.#tell(kind === undefined ? undefined : describeTrouble(this.#slots.name, status));
  }
}

/** Whether a slot needs attention, as a word. */
export function kindOfTrouble({ walStatus, lagBytes }: SlotStatus, maxLagBytes: number): string | undefined {
  if (walStatus === "unreserved" || walStatus === "lost") return walStatus;
  return lagBytes > maxLagBytes ? "behind" : undefined;
}

/** What is wrong with a slot, as a sentence. */
export function describeTrouble(slot: string, { walStatus, lagBytes }: SlotStatus): string {
  const behind = `The replication slot "${slot}" is ${String(Math.round(lagBytes / MEBIBYTE))} MiB behind`;
  return walStatus === "unreserved" || walStatus === "lost"
    ? `${behind}, and the database is about to remove what it still needs (max_slot_wal_keep_size).`
    : `${behind} (wal.maxSlotLagBytes).`;
}
