import { setTimeout as delay } from "node:timers/promises";
import type { Cause } from "./causes.ts";
import type { FaultKind, FaultPlan } from "./plan.ts";
import type { Stage } from "./stage.ts";
import type { WorkClock } from "./work-clock.ts";

/** Lets things go wrong, one after the other, and puts each right; notes them as causes of resets. */
export async function runFaults(
  faults: readonly FaultPlan[],
  { stage, clock, causes }: { readonly stage: Stage; readonly clock: WorkClock; readonly causes: Cause[] },
): Promise<void> {
  for (const fault of faults) {
    await clock.reach(fault.at);
    const fromMs = performance.now();
    await play(fault, stage, clock);
    await stage.untilReady();
    causes.push({ kind: fault.kind, fromMs, untilMs: performance.now() });
  }
}

async function play({ kind, work }: FaultPlan, stage: Stage, clock: WorkClock): Promise<void> {
  const someWork = (): Promise<void> => clock.reach(clock.done + work);
  const faults: Readonly<Record<FaultKind, () => Promise<void>>> = {
    async server_killed() {
      await stage.killServer();
      await someWork();
      await stage.startServer();
    },
    async server_restarted() {
      await stage.endServer();
      await someWork();
      await stage.startServer();
    },
    server_replaced: () => stage.replaceServer(),
    // Nothing is done meanwhile: writers wait.
    database_killed: () => stage.database.killAndStart(),
    backends_terminated: () => stage.database.terminateBackends(),
    slot_dropped: () => stage.database.dropSlot(),
    oplog_rolled: () => stage.database.rollOplog(),
    async network_cut() {
      await stage.cutNetwork();
      await someWork();
      await stage.mendNetwork();
    },
  };
  await faults[kind]();
  // So that not everything is found at once by a single look at /readyz.
  await delay(20);
}
