import type { Dice } from "./dice.ts";
import type { FaultKind, FaultPlan, SourceKind } from "./plan.ts";

/** What can go wrong with each source, the more often the more frequent. */
const KINDS: Readonly<Record<SourceKind, readonly FaultKind[]>> = {
  wal: [
    "server_killed",
    "server_killed",
    "server_restarted",
    "server_replaced",
    "database_killed",
    "database_killed",
    "backends_terminated",
    "network_cut",
    "slot_dropped",
  ],
  notify: [
    "server_killed",
    "server_restarted",
    "database_killed",
    "backends_terminated",
    "backends_terminated",
    "network_cut",
  ],
  mongodb: [
    "server_killed",
    "server_killed",
    "server_restarted",
    "database_killed",
    "database_killed",
    "network_cut",
    "oplog_rolled",
  ],
};

/** Faults at random moments, in order. */
export function planFaults(
  dice: Dice,
  source: SourceKind,
  { work, count }: { readonly work: number; readonly count: number },
): readonly FaultPlan[] {
  const share = Math.floor((work * 0.8) / count);
  return Array.from({ length: count }, (_, index) => ({
    kind: dice.pick(KINDS[source]),
    at: Math.floor(work * 0.1) + index * share + dice.int(0, share - 1),
    work: dice.chance(0.3) ? 0 : dice.int(1, Math.max(1, Math.floor(work / 20))),
  }));
}
