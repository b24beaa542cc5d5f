import type { Logger } from "pino";
import type { WalSettings } from "./settings.ts";
import type { SlotKeeper, SlotStatus } from "./slot.ts";
import type { WalStats } from "./stats.ts";

const MEBIBYTE = 1024 * 1024;

/** The rest is for what a slow stream, or an outage, has to catch up with. */
const KEPT_FOR_HISTORY = 0.25;

/** What a {@link SlotWatch} tells. */
export interface SlotWatchEvents {
  /** What is wrong with a slot that works, or undefined. */
  detail(text: string | undefined): void;
  /** How much of its log the database may be asked to keep for the history. */
  bounded(bytes: number): void;
}

/** Looks at how much of the log the slot keeps from being removed. */
export class SlotWatch {
  readonly #slots: SlotKeeper;
  readonly #settings: Pick<WalSettings, "maxSlotLagBytes">;
  readonly #stats: WalStats;
  readonly #log: Logger;
  readonly #events: SlotWatchEvents;
  #told: string | undefined;

  constructor(
    slots: SlotKeeper,
    settings: Pick<WalSettings, "maxSlotLagBytes">,
    stats: WalStats,
    log: Logger,
    events: SlotWatchEvents,
  ) {
    this.#slots = slots;
    this.#settings = settings;
    this.#stats = stats;
    this.#log = log;
    this.#events = events;
  }

  async look(): Promise<void> {
    const status = await this.#slots.fetchStatus();
    if (status === undefined) return;
    this.#stats.slotLagBytes = status.lagBytes;
    if (status.maxKeptBytes !== undefined) this.#events.bounded(status.maxKeptBytes * KEPT_FOR_HISTORY);
    const kind = kindOfTrouble(status, this.#settings.maxSlotLagBytes);
    if (kind !== undefined && kind !== this.#told) {
      this.#log.warn({ ...status, slot: this.#slots.name }, "The replication slot is far behind");
    }
    this.#told = kind;
    this.#events.detail(kind === undefined ? undefined : describeTrouble(this.#slots.name, status));
  }
}

type SlotHealth = Pick<SlotStatus, "walStatus" | "lagBytes">;

/** Whether a slot needs attention, as a word. */
export function kindOfTrouble({ walStatus, lagBytes }: SlotHealth, maxLagBytes: number): string | undefined {
  if (walStatus === "unreserved" || walStatus === "lost") return walStatus;
  return lagBytes > maxLagBytes ? "behind" : undefined;
}

/** What is wrong with a slot, as a sentence. */
export function describeTrouble(slot: string, { walStatus, lagBytes }: SlotHealth): string {
  const behind = `The replication slot "${slot}" is ${String(Math.round(lagBytes / MEBIBYTE))} MiB behind`;
  return walStatus === "unreserved" || walStatus === "lost"
    ? `${behind}, and the database is about to remove what it still needs (max_slot_wal_keep_size).`
    : `${behind} (wal.maxSlotLagBytes).`;
}
