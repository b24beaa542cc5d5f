import { MongoClient } from "mongodb";

/** What {@link uninstall} found and did. */
export interface UninstallReport {
  /** Collections with pre-images, which the server or somebody else has enabled. */
  readonly collections: readonly string[];
  /** Whether they were disabled. */
  readonly disabled: boolean;
}

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Finds the one thing that this source puts into a database: pre-images of the collections that were subscribed to.
 * They are no different from those that an application enabled for itself, so they are disabled only when asked.
 *
 * @throws {Error} when the server cannot be reached or refuses.
 */
export async function uninstall(
  url: string,
  database: string,
  disablePreImages: boolean,
): Promise<UninstallReport> {
  const client = new MongoClient(url, {
    appName: "paperdb-realtime uninstall",
    serverSelectionTimeoutMS: CONNECT_TIMEOUT_MS,
  });
  try {
    const db = client.db(database);
    const collections = await db.listCollections({ type: "collection" }, { nameOnly: false }).toArray();
    const withPreImages = collections.filter(hasPreImages).map(({ name }) => name);
    if (disablePreImages) {
      for (const name of withPreImages) {
        await db.command({ collMod: name, changeStreamPreAndPostImages: { enabled: false } });
      }
    }
    return { collections: withPreImages.toSorted(), disabled: disablePreImages };
  } finally {
    await client.close();
  }
}

function hasPreImages({ options }: { readonly options?: Readonly<Record<string, unknown>> }): boolean {
  const images = options?.["changeStreamPreAndPostImages"];
  return typeof images === "object" && images !== null && "enabled" in images && images.enabled === true;
}
