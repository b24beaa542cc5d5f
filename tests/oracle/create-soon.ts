import { until } from "../support/until.ts";
import type { CollectionPlan } from "./plan.ts";
import type { Store } from "./store.ts";

const CREATE_TIMEOUT_MS = 60_000;

/** Makes a collection, and waits for a database that is away. */
export async function createSoon(store: Store, collection: CollectionPlan): Promise<void> {
  await until(
    () =>
      store.create(collection).then(
        () => true,
        (error: unknown) => {
          if (!store.isExpected(error)) throw error;
          return false;
        },
      ),
    { timeoutMs: CREATE_TIMEOUT_MS, describe: `a database that ${collection.name} can be made in` },
  );
}
