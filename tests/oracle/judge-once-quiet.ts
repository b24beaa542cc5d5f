import { setTimeout as delay } from "node:timers/promises";
import type { Cause } from "./causes.ts";
import type { CommittedTransaction, Journal } from "./journal.ts";
import type { WorldPlan } from "./plan.ts";
import type { Stage } from "./stage.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Evidence, Verdict } from "./evidence.ts";
import { expectationsOf, judgeWorld } from "./verdict.ts";

/** When so long nothing has come to anybody, what is missing will not come any more. */
const QUIET_MS = 40_000;
const POLL_MS = 250;

/** What a world consists of once its writers are done. */
export interface EndedWorld {
  readonly plan: WorldPlan;
  readonly subscribers: readonly Subscriber[];
  readonly causes: readonly Cause[];
  readonly journal: Journal;
  readonly stage: Stage;
}

/** Judges once all is right, or nothing comes any more. */
export async function judgeOnceQuiet(world: EndedWorld): Promise<Verdict> {
  const evidence = await collectEvidence(world);
  let verdict = judgeWorld(evidence);
  let quietSinceMs = performance.now();
  while (verdict.objections.length > 0 && performance.now() - quietSinceMs < QUIET_MS) {
    await delay(POLL_MS);
    const next = judgeWorld(evidence);
    if (next.events !== verdict.events) quietSinceMs = performance.now();
    verdict = next;
  }
  return verdict;
}

async function collectEvidence({ plan, subscribers, causes, journal, stage }: EndedWorld): Promise<Evidence> {
  const { store } = stage.database;
  const transactions = journal.inOrder(await store.fetchCommitOrder());
  const rows = await Promise.all(
    plan.collections.map(async (each) => [each.name, await store.fetchAll(each)] as const),
  );
  return {
    plan,
    expectations: expectationsOf(subscribers, transactions, new Map(rows)),
    causes: [...causes, ...truncationsIn(transactions)],
    transactions: transactions.length,
    output: () => stage.output(),
  };
}

function truncationsIn(transactions: readonly CommittedTransaction[]): readonly Cause[] {
  return transactions.flatMap(({ entries, askedAtMs }) =>
    entries
      .filter((entry) => entry.kind === "truncated")
      .map(({ collection }) => ({ kind: "truncated", collection, fromMs: askedAtMs, untilMs: askedAtMs })),
  );
}
