import type { QualifiedName } from "../../postgres/identifier.ts";

/** A table that is a collection. */
export interface CapturedTable {
  /** The collection's public name. */
  readonly collection: string;
  readonly oid: number;
  readonly name: QualifiedName;
  readonly tenantColumn: string;
  /** The primary key's columns in its order. */
  readonly primaryKey: readonly string[];
  /** Columns that are never delivered. */
  readonly hidden: ReadonlySet<string>;
  /** Those of the hidden columns that are hidden because a trigger does not see their values. */
  readonly virtualColumns: readonly string[];
  /** Generated columns that the replication stream does not have: before PostgreSQL 18, those that are stored. */
  readonly unsentColumns?: readonly string[];
  /** Equal as long as its changes are captured in the same way: name, tenant column and key with their types. */
  readonly shape: string;
  /** The oids of its partitions at all levels, sorted; empty for an ordinary table. */
  readonly partitions: readonly number[];
  /** Equal as long as these partitions were neither detached nor attached. */
  readonly attachments: string;
  /** Our triggers as the catalog has them. */
  readonly triggers: readonly InstalledTrigger[];
}

/** One of our triggers, on a table or one of its partitions. */
export interface InstalledTrigger {
  readonly relationOid: number;
  readonly name: string;
  /** Fires whatever the session's `session_replication_role`. */
  readonly always: boolean;
  /** The function's name and the MD5 of its source, and the marker in it. */
  readonly functionName: string;
  readonly sourceMd5: string;
  readonly marker: string | null;
  /** Updates are sent with the row before. */
  readonly sendsPrior: boolean;
}

/** Whether changes of before and of now belong to one history of a collection. */
export function isSameHistory(left: CapturedTable, right: CapturedTable): boolean {
  return (
    left.shape === right.shape &&
    left.attachments === right.attachments &&
    left.virtualColumns.join() === right.virtualColumns.join()
  );
}

/** A collection's name can come to stand for another table only by way of none. */
export function isNamedAs(left: CapturedTable, right: CapturedTable): boolean {
  return left.name.schema === right.name.schema && left.name.table === right.name.table;
}
