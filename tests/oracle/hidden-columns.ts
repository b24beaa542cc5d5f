import type { CollectionPlan } from "./plan.ts";

/** The columns that are never delivered. */
export function hiddenOf({ columns }: Pick<CollectionPlan, "columns">): string[] {
  return columns.filter(({ hidden }) => hidden).map(({ name }) => name);
}

/** Whether the server is to find the collections by itself: nothing has to be said of them. */
export function isDiscovered(collections: readonly CollectionPlan[]): boolean {
  return collections.every(
    (collection) =>
      ["tenant_id", "tenantId"].includes(collection.tenantColumn) && hiddenOf(collection).length === 0,
  );
}
