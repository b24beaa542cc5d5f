import type { WorldPlan } from "./plan.ts";
import { openPostgresStage } from "./postgres-stage.ts";
import type { StageDatabase } from "./stage-database.ts";

/** Starts the database of a world. */
export async function openStageDatabase({ source }: WorldPlan): Promise<StageDatabase> {
  if (source === "mongodb") throw new Error("not yet");
  return await openPostgresStage({});
}
