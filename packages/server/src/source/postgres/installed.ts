import { createHash } from "node:crypto";
import type { CaptureLimits } from "./capture-sql.ts";
import {
  captureFunctionName,
  captureFunctionSource,
  captureMarker,
  rowTriggerName,
  truncateTriggerName,
} from "./capture-sql.ts";
import type { CapturedTable } from "./table.ts";

/**
 * Whether every change of the table is captured as this version does it: the row
 * trigger on the table and its partitions, the TRUNCATE trigger on each, all firing always.
 */
export function isCaptured(table: CapturedTable): boolean {
  const marker = captureMarker(table);
  const functionName = captureFunctionName(table);
  const present = new Set(
    table.triggers
      .filter(
        (trigger) => trigger.always && trigger.marker === marker && trigger.functionName === functionName,
      )
      .map((trigger) => `${String(trigger.relationOid)} ${trigger.name}`),
  );
  return [table.oid, ...table.partitions].every(
    (relation) =>
      present.has(`${String(relation)} ${rowTriggerName(table)}`) &&
      present.has(`${String(relation)} ${truncateTriggerName(table)}`),
  );
}

/** Whether every update is sent with the row before, of a table that {@link isCaptured}. */
export function sendsPrior(table: CapturedTable): boolean {
  return table.triggers.every((trigger) => trigger.sendsPrior || trigger.name !== rowTriggerName(table));
}

/** As {@link isCaptured}, and with exactly these limits. */
export function isCapturedWithin(table: CapturedTable, limits: CaptureLimits, encoding: string): boolean {
  const md5 = createHash("md5")
    .update(captureFunctionSource(table, limits, encoding))
    .digest("hex");
  return isCaptured(table) && table.triggers.some((trigger) => trigger.sourceMd5 === md5);
}
