import type { Finding } from "../finding.ts";
import type { ServerFacts } from "./doctor-facts.ts";
import { ok, warning } from "./findings.ts";
import type { CapturedTable } from "./table.ts";

/** What is so in every mode. */
export function aboutTable(table: CapturedTable, { inheritedTables }: ServerFacts): Finding {
  const shown = `"${table.collection}"`;
  if (table.virtualColumns.length > 0) {
    return warning(
      `The virtual generated columns of collection ${shown} are not delivered: ${table.virtualColumns.join(", ")}.`,
      "Make them STORED if clients need them.",
    );
  }
  if (inheritedTables.has(table.oid)) {
    return warning(
      `Other tables INHERIT from the table of collection ${shown}: changes of their rows are not delivered as its own.`,
      "Subscribe to those tables, or make it a partitioned table.",
    );
  }
  return ok(`${shown} is a collection.`);
}
