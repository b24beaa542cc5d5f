import type { Logger } from "pino";
import type { WalSettings } from "./settings.ts";
import type { SlotKeeper, SlotStatus } from "./slot.ts";
import type { WalStats } from "./stats.ts";

const MEBIBYTE = 1024 * 1024;

/** The rest is for what a slow stream, or an outage, has to catch up with. */
const KEPT_FOR_HISTORY = 0.25;
/** So much of what the database keeps at most is told of, before it is too late. */
const MUCH_KEPT = 0.75;

/** What a {@link SlotWatch} tells. */
interface SlotWatchEvents {
  /** What is wrong with a slot that works, or undefined. */
  detail(text: string | undefined): void;
  /** How much of its log the database may be asked to keep for the history. */
  bounded(bytes: number): void;
}

/** What a {@link SlotWatch} works with. */
export interface SlotWatchOptions {
  readonly slots: SlotKeeper;
  readonly settings: Pick<WalSettings, "maxSlotLagBytes" | "slotCheckIntervalMs">;
  readonly stats: WalStats;
  readonly log: Logger;
  readonly events: SlotWatchEvents;
}

/** Looks at how much of the log the slot keeps from being removed, whether somebody streams from it or not. */
export class SlotWatch {
  readonly #options: SlotWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #told: string | undefined;
  #closed = false;

  constructor(options: SlotWatchOptions) {
    this.#options = options;
  }

  /** Begins to look, again and again. */
  follow(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look();
    }, this.#options.settings.slotCheckIntervalMs);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { log, slots } = this.#options;
    try {
      const status = await slots.fetchStatus();
      if (status !== undefined) this.#tell(status);
    } catch (error) {
      // The stream has the same trouble, and tells of it.
      log.debug({ reason: String(error) }, "Cannot look at the replication slot, will retry");
    }
    this.follow();
  }

  #tell(status: SlotStatus): void {
    const { slots, settings, stats, log, events } = this.#options;
    stats.slotLagBytes = status.lagBytes;
    stats.slotKeptBytes = status.keptBytes;
    if (status.maxKeptBytes !== undefined) events.bounded(status.maxKeptBytes * KEPT_FOR_HISTORY);
    const kind = kindOfTrouble(status, settings.maxSlotLagBytes);
    if (kind !== undefined && kind !== this.#told) {
      log.warn({ ...status, slot: slots.name }, "The replication slot needs attention");
    }
    this.#told = kind;
    events.detail(
      kind === undefined ? undefined : describeTrouble(slots.name, status, settings.maxSlotLagBytes),
    );
  }
}

type SlotHealth = Pick<SlotStatus, "walStatus" | "lagBytes"> & Partial<SlotStatus>;

/** Whether a slot needs attention, as a word. */
export function kindOfTrouble(slot: SlotHealth, maxLagBytes: number): string | undefined {
  const { walStatus, lagBytes, keptBytes = 0, maxKeptBytes = Infinity } = slot;
  if (walStatus === "unreserved" || walStatus === "lost") return walStatus;
  if (lagBytes > maxLagBytes) return "behind";
  return keptBytes > maxKeptBytes * MUCH_KEPT ? "full" : undefined;
}

/** What is wrong with a slot, as a sentence. */
export function describeTrouble(slot: string, health: SlotHealth, maxLagBytes: number): string {
  const kind = kindOfTrouble(health, maxLagBytes);
  const { lagBytes, keptBytes = 0, maxKeptBytes = 0 } = health;
  if (kind === "full") {
    return `The replication slot "${slot}" keeps ${mebibytes(keptBytes)} of the database's log, of ${mebibytes(maxKeptBytes)} that it may (max_slot_wal_keep_size): end transactions that have been open for long (pg_stat_activity).`;
  }
  const behind = `The replication slot "${slot}" is ${mebibytes(lagBytes)} behind`;
  return kind === "behind"
    ? `${behind} (wal.maxSlotLagBytes).`
    : `${behind}, and the database is about to remove what it still needs (max_slot_wal_keep_size).`;
}

function mebibytes(bytes: number): string {
  return `${String(Math.round(bytes / MEBIBYTE))} MiB`;
}
