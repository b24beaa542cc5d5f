import { createHash } from "node:crypto";
import { escapeIdentifier, escapeLiteral } from "pg";
import { channelPrefix, CONTROL_CHANNEL } from "./channels.ts";
import type { NotifySettings } from "./settings.ts";
import type { CapturedTable } from "./table.ts";
import { PRIOR_SEPARATOR } from "./wire.ts";

/** How the names of all our triggers begin. `!` sorts before other triggers' names, and AFTER triggers fire in the order of their names. */
export const TRIGGER_NAME_PREFIX = "!paperdb_realtime";

/** Raised when what the functions do changes, so that they are made anew. */
const CAPTURE_VERSION = 4;

/** A row trigger with this argument sends the row before an update too, see `wire.ts`. */
export const PRIOR_ARGUMENT = "prior";

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
  const { maxDocumentBytes } = limits;
  const budget = `${String(limits.maxNotifyBytesPerTransaction)}, ${String(limits.inlineOutboxThresholdBytes)}`;
  const bounds = `${String(maxDocumentBytes)}, ${budget}`;
  const call = (kind: string, owner: string, id: string, rest: string): string =>
    `PERFORM paperdb.send('flc_rt_' || md5(${hashed(table, owner, encoding)}), '${kind}', ${oid}, ${owner}, ${id}, ${String(composite)}, ${rest});`;
  const send = (kind: string, row: "OLD" | "NEW"): string =>
    row === "OLD"
      ? call(kind, "old_tenant", "old_id", `row_to_json(OLD)::text, ${bounds}`)
      : call(kind, "new_tenant", "new_id", `row_to_json(NEW)::text, ${bounds}`);
  return `
-- paperdb ${captureMarker(table)}
#variable_conflict use_variable
DECLARE
  old_tenant text; new_tenant text;
  old_id text; new_id text;
  old_row text; new_row text;
  room bigint;
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
    IF TG_NARGS > 0 THEN
      new_row := row_to_json(NEW)::text;
      old_row := row_to_json(OLD)::text;
      -- Each may be as long as a document; with no room at all, it is lost.
      room := CASE WHEN greatest(octet_length(new_row), octet_length(old_row)) <= ${String(maxDocumentBytes)} THEN ${String(2 * maxDocumentBytes + 1)} ELSE 0 END;
      ${call("u", "new_tenant", "new_id", `new_row || chr(${String(PRIOR_SEPARATOR.charCodeAt(0))}) || old_row, room, ${budget}`)}
    ELSE
      ${send("u", "NEW")}
    END IF;
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
