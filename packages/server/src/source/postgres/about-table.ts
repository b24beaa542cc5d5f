import { escapeIdentifier } from "pg";
import { quoteQualifiedName } from "../../postgres/identifier.ts";
import type { Finding } from "../finding.ts";
import type { ServerFacts } from "./doctor-facts.ts";
import { ok, warning } from "./findings.ts";
import type { CapturedTable } from "./table.ts";

/** What is so in every mode. */
export function aboutTable(table: CapturedTable, facts: ServerFacts): Finding {
  const shown = `"${table.collection}"`;
  if (!facts.readableTables.has(table.oid)) {
    const schema = escapeIdentifier(table.name.schema);
    return warning(
      `The user ${facts.user} may not read the table of collection ${shown}, so there are no snapshots of it.`,
      `Run: GRANT USAGE ON SCHEMA ${schema} TO ${facts.user}; GRANT SELECT ON ${quoteQualifiedName(table.name)} TO ${facts.user};`,
    );
  }
  if (facts.securedTables.has(table.oid)) {
    return warning(
      `Row-level security hides rows of collection ${shown} from the user ${facts.user}, so there are no snapshots of it.`,
      `As a superuser, run: ALTER ROLE ${facts.user} BYPASSRLS;`,
    );
  }
  if (table.virtualColumns.length > 0) {
    return warning(
      `The virtual generated columns of collection ${shown} are not delivered: ${table.virtualColumns.join(", ")}.`,
      "Make them STORED if clients need them.",
    );
  }
  if (facts.inheritedTables.has(table.oid)) {
    return warning(
      `Other tables INHERIT from the table of collection ${shown}: changes of their rows are not delivered as its own.`,
      "Subscribe to those tables, or make it a partitioned table.",
    );
  }
  return ok(`${shown} is a collection.`);
}
