import type { ChangeType } from "@paperdb/protocol";
import { Timestamp } from "mongodb";
import type { MongoCollection } from "./collections.ts";
import { clusterTimeMs, clusterTimeOf, type ClusterTime } from "./position.ts";
import { tenantText, valueAt } from "./tenant-value.ts";

/** A change event as it leaves the pipeline. */
export interface RawChange {
  readonly operationType?: unknown;
  readonly clusterTime?: unknown;
  readonly wallTime?: unknown;
  readonly documentKey?: unknown;
  readonly fullDocument?: unknown;
  readonly fullDocumentBeforeChange?: unknown;
  readonly updateDescription?: unknown;
  readonly splitEvent?: unknown;
}

/** What an event is to one tenant. */
export interface TenantChange {
  readonly tenant: string;
  readonly type: ChangeType;
  /** Undefined when it can not be had any more: the event takes its place, and is not delivered. */
  readonly document: object | undefined;
  /** Of an update or a replace: the document before it, where the server told it. */
  readonly prior?: object | undefined;
}

/** When the server committed the event; undefined where it does not say. */
export function timeOfChange({ clusterTime }: RawChange): ClusterTime | undefined {
  return clusterTime instanceof Timestamp ? clusterTimeOf(clusterTime) : undefined;
}

/** When the change was made, in ms since 1970. */
export function committedAtMs({ wallTime }: RawChange, time: ClusterTime): number {
  return wallTime instanceof Date ? wallTime.getTime() : clusterTimeMs(time);
}

/**
 * Whose an event is, and what it is to them. A document that moves from one tenant to
 * another is a delete for the one and an insert for the other. What cannot be
 * attributed is nobody's.
 */
export function attribute(change: RawChange, { tenantField }: MongoCollection): readonly TenantChange[] {
  const path = tenantField.split(".");
  const before = documentOf(change.fullDocumentBeforeChange, path);
  const after = documentOf(change.fullDocument, path);
  switch (change.operationType) {
    case "insert":
      return arrival(after, after?.tenant, "insert");
    case "replace":
      return replaced(before, after);
    case "delete":
      return departure(before);
    case "update":
      return updated(before, after, describe(change.updateDescription, tenantField));
    default:
      return [];
  }
}

interface TenantDocument {
  readonly document: object;
  readonly tenant: string | undefined;
}

/** What an update's description says about the tenant. */
type TenantUpdate =
  { readonly kind: "kept" | "unknown" } | { readonly kind: "set"; readonly tenant: string | undefined };

function documentOf(value: unknown, path: readonly string[]): TenantDocument | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  return { document: value, tenant: tenantText(valueAt(value, path)) };
}

function arrival(
  after: TenantDocument | undefined,
  tenant: string | undefined,
  type: ChangeType,
  before?: TenantDocument,
): readonly TenantChange[] {
  if (tenant === undefined) return [];
  // A document looked up by now may be another tenant's.
  const document = after?.tenant === tenant ? after.document : undefined;
  return [{ tenant, type, document, prior: before?.tenant === tenant ? before.document : undefined }];
}

function departure(before: TenantDocument | undefined): readonly TenantChange[] {
  if (before?.tenant === undefined) return [];
  return [{ tenant: before.tenant, type: "delete", document: before.document }];
}

function replaced(
  before: TenantDocument | undefined,
  after: TenantDocument | undefined,
): readonly TenantChange[] {
  if (before === undefined || before.tenant === after?.tenant)
    return arrival(after, after?.tenant, "replace", before);
  return [...departure(before), ...arrival(after, after?.tenant, "insert")];
}

function updated(
  before: TenantDocument | undefined,
  after: TenantDocument | undefined,
  update: TenantUpdate,
): readonly TenantChange[] {
  if (update.kind === "set") {
    if (before !== undefined && before.tenant === update.tenant)
      return arrival(after, update.tenant, "update", before);
    return [...departure(before), ...arrival(after, update.tenant, "insert")];
  }
  if (before === undefined) return arrival(after, after?.tenant, "update");
  if (update.kind === "kept" || after === undefined || after.tenant === before.tenant) {
    return arrival(after, before.tenant, "update", before);
  }
  return [...departure(before), ...arrival(after, after.tenant, "insert")];
}

function describe(description: unknown, tenantField: string): TenantUpdate {
  if (typeof description !== "object" || description === null) return { kind: "unknown" };
  const updatedFields = "updatedFields" in description ? description.updatedFields : undefined;
  const removedFields = "removedFields" in description ? description.removedFields : undefined;
  if (
    typeof updatedFields === "object" &&
    updatedFields !== null &&
    Object.hasOwn(updatedFields, tenantField)
  ) {
    return { kind: "set", tenant: tenantText(valueAt(updatedFields, [tenantField])) };
  }
  if (Array.isArray(removedFields) && removedFields.includes(tenantField)) {
    return { kind: "set", tenant: undefined };
  }
  return { kind: "kept" };
}
