import { createHash } from "node:crypto";
import { escapeIdentifier, escapeLiteral } from "pg";
import { channelPrefix, CONTROL_CHANNEL } from "./channels.ts";
import type { NotifySettings } from "./settings.ts";
import type { CapturedTable } from "./table.ts";

/** How the names of all our triggers begin. `!` sorts before other triggers' names, and AFTER triggers fire in the order of their names. */
export const TRIGGER_NAME_PREFIX = "!paperdb_realtime";

/** Raised when what the functions do changes, so that they are made anew. */
const CAPTURE_VERSION = 3;

/** The bounds that a capture function carries. */
export type CaptureLimits = Pick<
  NotifySettings,
  "maxDocumentBytes" | "maxNotifyBytesPerTransaction" | "inlineOutboxThresholdBytes"
>;

/** The name of the row trigger. With the table's oid in it, a table with triggers of its own can be attached as a partition. */
export function rowTriggerName(table: CapturedTable): string {
  return `${TRIGGER_NAME_PREFIX}_${String(table.oid)}`;
}

/** The name of the TRUNCATE trigger, which each partition has too. */
export function truncateTriggerName(table: CapturedTable): string {
  return `${TRIGGER_NAME_PREFIX}_truncate_${String(table.oid)}`;
}

/** The name of the trigger function, in schema `paperdb`. */
export function captureFunctionName(table: CapturedTable): string {
  return `capture_${String(table.oid)}`;
}

/** Stands in the function's source; another marker means another way of capturing. */
export function captureMarker(table: CapturedTable): string {
  return createHash("md5")
    .update(JSON.stringify([CAPTURE_VERSION, table.shape]))
    .digest("hex");
}

/** The trigger function of one table, as `CREATE OR REPLACE FUNCTION`. */
export function captureFunctionSql(table: CapturedTable, limits: CaptureLimits, encoding: string): string {
  // These are the settings that the text of a value depends on, or that a query's text does.
  return `CREATE OR REPLACE FUNCTION paperdb.${escapeIdentifier(captureFunctionName(table))}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET lc_monetary FROM CURRENT
SET quote_all_identifiers = off
SET xmloption = content
SET standard_conforming_strings = on
AS ${escapeLiteral(captureFunctionSource(table, limits, encoding))}`;
}

/** The body of {@link captureFunctionSql}, as `pg_proc.prosrc` has it. */
export function captureFunctionSource(table: CapturedTable, limits: CaptureLimits, encoding: string): string {
  const oid = escapeLiteral(String(table.oid));
  const composite = table.primaryKey.length > 1;
  const tenant = escapeIdentifier(table.tenantColumn);
  const bounds = [
    limits.maxDocumentBytes,
    limits.maxNotifyBytesPerTransaction,
    limits.inlineOutboxThresholdBytes,
  ].join(", ");
  const send = (kind: string, row: "OLD" | "NEW"): string => {
    const owner = row === "OLD" ? "old_tenant" : "new_tenant";
    const id = row === "OLD" ? "old_id" : "new_id";
    return `PERFORM paperdb.send('flc_rt_' || md5(${hashed(table, owner, encoding)}), '${kind}', ${oid}, ${owner}, ${id}, ${String(composite)}, row_to_json(${row})::text, ${bounds});`;
  };
  return `
-- paperdb ${captureMarker(table)}
#variable_conflict use_variable
DECLARE
  old_tenant text; new_tenant text;
  old_id text; new_id text;
BEGIN
  -- Everybody may execute this function; on any other table it does nothing.
  IF TG_RELID <> ${oid}::oid AND pg_partition_root(TG_RELID)::oid IS DISTINCT FROM ${oid}::oid THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM pg_notify('${CONTROL_CHANNEL}', '["truncated",' || ${oid} || ']');
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    old_tenant := OLD.${tenant}::text;
    old_id := ${documentId(table, "OLD")};
  END IF;
  IF TG_OP <> 'DELETE' THEN
    new_tenant := NEW.${tenant}::text;
    new_id := ${documentId(table, "NEW")};
  END IF;
  IF old_tenant COLLATE "C" = new_tenant AND old_id COLLATE "C" = new_id THEN
    ${send("u", "NEW")}
  ELSE
    IF old_tenant IS NOT NULL THEN
      ${send("d", "OLD")}
    END IF;
    IF new_tenant IS NOT NULL THEN
      ${send("i", "NEW")}
    END IF;
  END IF;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The application's write must not fail for us, not even without our own functions: subscribers are reset instead.
  PERFORM pg_notify('${CONTROL_CHANNEL}', '["capture_failed",' || ${oid} || ']');
  RETURN NULL;
END
`;
}

function documentId(table: CapturedTable, row: "OLD" | "NEW"): string {
  const columns = table.primaryKey.map((column) => `${row}.${escapeIdentifier(column)}`);
  return columns.length === 1 ? `${columns.join("")}::text` : `json_build_array(${columns.join(", ")})::text`;
}

/** What is hashed must be the same bytes for us and for the database: UTF-8. */
function hashed(table: CapturedTable, tenant: string, encoding: string): string {
  const text = `${escapeLiteral(channelPrefix(table.name))} || ${tenant}`;
  return encoding === "UTF8" || encoding === "SQL_ASCII" ? text : `convert_to(${text}, 'UTF8')`;
}
