import { openMongoStage } from "./mongo-stage.ts";
import type { WorldPlan } from "./plan.ts";
import { openPostgresStage } from "./postgres-stage.ts";
import type { StageDatabase } from "./stage-database.ts";

/** Starts the database of a world. */
export async function openStageDatabase({ source }: WorldPlan): Promise<StageDatabase> {
  return source === "mongodb" ? await openMongoStage() : await openPostgresStage();
}
