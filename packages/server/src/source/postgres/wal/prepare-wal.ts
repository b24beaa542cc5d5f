import type { Catalog } from "../catalog.ts";
import type { DatabasePool } from "../database-pool.ts";
import { ensurePublishFunction } from "../publish-function.ts";
import { Publication } from "./publication.ts";
import { requireWal } from "./requirements.ts";
import { WAL_MIGRATIONS, WAL_PUBLISH, WAL_SCHEMA_SET } from "./schema.ts";
import type { WalSettings } from "./settings.ts";
import { fetchDefaultSlotName } from "./slot.ts";

/** What {@link prepareWal} prepares. */
export interface WalPreparation {
  readonly database: DatabasePool;
  readonly catalog: Catalog;
  /** The name of slot and publication, where one is configured. */
  readonly slot: string | undefined;
  readonly settings: WalSettings;
}

/**
 * Checks what the mode needs of a database, and sets up all but the slot.
 *
 * @throws {RealtimeError} what is missing, with the SQL that mends it; or a collection of the configuration that is none.
 */
export async function prepareWal(preparation: WalPreparation): Promise<Publication> {
  const { database, catalog, slot, settings } = preparation;
  await database.inspect();
  const name = slot ?? (await fetchDefaultSlotName(database));
  await requireWal(database, name, settings);
  await database.migrate(WAL_SCHEMA_SET, WAL_MIGRATIONS);
  await database.use((client) => ensurePublishFunction(client, WAL_PUBLISH));
  await catalog.open();
  const publication = new Publication(name, database);
  await publication.ensure();
  return publication;
}
